"""The networks' own backward pass against autograd's, and Adam against PyTorch's."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regoal.agent.networks import Ensemble
from regoal.agent.optimisation import Adam, descend, without_denormals
from regoal.agent.sac import squash

some_sizes = st.lists(st.integers(1, 40), min_size=2, max_size=5)
X_SIZE = 3


def network(n: int, hidden: list[int], outputs: int, seed: int, action_size: int = 0) -> Ensemble:
    return Ensemble(n, [X_SIZE + action_size, *hidden, outputs], torch.Generator().manual_seed(seed))


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradients(loss: torch.Tensor, *of: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, of))


@given(st.integers(1, 3), some_sizes, st.sampled_from([1, 2, 33]), st.integers(1, 9), st.integers(0, 99))
def test_forward_and_backward_are_those_of_autograd(
    n: int, hidden: list[int], outputs: int, rows: int, seed: int
) -> None:
    net = network(n, hidden, outputs, seed, action_size=2)
    x, action = normal(seed, rows, X_SIZE).requires_grad_(), normal(seed + 1, rows, 2).requires_grad_()
    weights = normal(seed + 2, n, rows, outputs)
    ours, theirs = net(x, action), net.plain(x, action)
    torch.testing.assert_close(ours, theirs)
    expected = gradients((theirs * weights).sum(), net.flat, x, action)
    for one, other in zip(gradients((ours * weights).sum(), net.flat, x, action), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 3), some_sizes, st.integers(1, 40), st.integers(0, 99))
def test_the_gradient_of_the_least_value_reaches_the_action(
    n: int, hidden: list[int], rows: int, seed: int
) -> None:
    net = network(n, hidden, 1, seed, action_size=2).requires_grad_(False)
    x, action = normal(seed, rows, X_SIZE), normal(seed + 1, rows, 2).requires_grad_()
    found, expected = (
        gradients(forward(x, action).squeeze(-1).amin(dim=0).sum(), action)[0] for forward in (net, net.plain)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@given(st.integers(1, 3), some_sizes, st.integers(0, 9), st.sampled_from([False, True]), st.integers(0, 99))
def test_one_network_alone_is_that_of_all(
    n: int, hidden: list[int], rows: int, layer_norm: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    net = Ensemble(n, [X_SIZE + 2, *hidden, 1], generator, layer_norm)
    x, action = normal(seed, rows, X_SIZE).requires_grad_(), normal(seed + 1, rows, 2).requires_grad_()
    alone, among_all = net.one(seed % n, x, action), net.plain(x, action)[seed % n]
    torch.testing.assert_close(alone, among_all)
    found, expected = (gradients(values.sum(), action)[0] for values in (alone, among_all))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        gradients(net.one(0, x, action).sum(), net.flat)


@pytest.mark.parametrize("outputs", [2, 33])
def test_the_gradient_of_any_output_reaches_the_action(outputs: int) -> None:
    net = Ensemble(2, [X_SIZE + 2, 9, 7, outputs], torch.Generator().manual_seed(0))
    x, action = normal(1, 6, X_SIZE), normal(2, 6, 2).requires_grad_()
    for chosen in (0, outputs - 1):  # a cost beside a value, say
        found, expected = (
            gradients(function(x, action)[..., chosen].mean(), action)[0]
            for function in (net.held, net.plain)
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_pass_that_wants_no_gradient_of_the_parameters_leaves_their_place_alone() -> None:
    net, x = network(2, [7, 5], 1, 0), normal(0, 4, X_SIZE).requires_grad_()
    net.requires_grad_(False)
    held = net(x)
    net.requires_grad_(True)
    net.gradient_place = place = torch.full_like(net.flat, 3.0)
    (found,) = torch.autograd.grad(held.sum(), x)
    torch.testing.assert_close(found, torch.autograd.grad(net.plain(x).sum(), x)[0])
    assert net.gradient_place is place
    assert (place == 3.0).all()


def test_rows_that_are_not_tracked_have_no_say_in_the_gradient() -> None:
    net, x = network(1, [7, 5], 2, 0), normal(0, 10, X_SIZE)
    out = net(x, tracked=6)
    torch.testing.assert_close(out, net.plain(x))
    found = gradients(out[:, :6].square().sum(), net.flat)[0]
    expected = gradients(net.plain(x[:6]).square().sum(), net.flat)[0]
    torch.testing.assert_close(found, expected)


def test_a_step_down_the_gradient_is_the_same_whoever_works_it_out() -> None:
    x = normal(0, 10, X_SIZE)
    ours, theirs = (network(2, [7, 5], 1, 3) for _ in range(2))
    optimiser = Adam(1e-2, ours)
    reference = torch.optim.Adam([theirs.flat], lr=1e-2)
    for step in range(5):
        descend(optimiser, ours(x).square().mean() + step * ours(2 * x).mean(), ours)  # used twice
        reference.zero_grad()
        torch.autograd.backward(theirs.plain(x).square().mean() + step * theirs.plain(2 * x).mean())
        reference.step()
        torch.testing.assert_close(ours.flat, theirs.flat)


def test_a_network_that_the_loss_leaves_out_is_left_alone() -> None:
    net, other, x = network(1, [5], 1, 0), network(1, [5], 1, 1), normal(0, 4, X_SIZE)
    before = other.flat.detach().clone()
    optimiser = Adam(1e-2, net, other)
    descend(optimiser, net(x).mean(), net)
    assert torch.equal(other.flat, before)
    assert other.flat.grad is None


def test_two_passes_before_a_backward_pass_do_not_share_memory() -> None:
    net, x = network(2, [5, 5], 1, 0), normal(0, 4, X_SIZE)
    first, second = net(x).sum(), net(2 * x).sum()
    for out, inputs in ((second, 2 * x), (first, x)):
        expected = gradients(net.plain(inputs).sum(), net.flat)[0]
        torch.testing.assert_close(gradients(out, net.flat)[0], expected)


def test_memory_is_used_again_when_a_pass_is_over() -> None:
    net, x = network(2, [5, 5], 1, 0), normal(0, 4, X_SIZE)
    for _ in range(3):
        gradients(net(x).sum(), net.flat)
        net(x)  # and when it is dropped without a backward pass
    assert net.scratch.hold() is not None


def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    net = network(2, [5, 5], 1, 0)

    def taken() -> int:
        return sum(place.numel() for place in net.scratch._places.values())

    def passed(n: int) -> None:
        x = normal(n, n, X_SIZE)
        torch.testing.assert_close(net(x), net.plain(x))
        expected = gradients(net.plain(x).sum(), net.flat)[0]
        torch.testing.assert_close(gradients(net(x).sum(), net.flat)[0], expected)
        with torch.no_grad():
            torch.testing.assert_close(net(x), net.plain(x))

    passed(40)
    most = taken()
    for n in (3, 17, 40, 1, 39):
        passed(n)
    assert taken() == most


def test_memory_that_is_needed_again_and_was_written_is_found_out() -> None:
    net, x = network(1, [5, 5], 1, 0), normal(0, 4, X_SIZE)
    first = net(x).sum()
    torch.autograd.backward(first, retain_graph=True)
    net(2 * x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(first)


def test_a_pass_without_a_gradient_spoils_nothing() -> None:
    net, x = network(2, [5, 6, 5], 1, 0), normal(0, 4, X_SIZE)
    out = net(x).sum()
    with torch.no_grad():
        net(2 * x)
    torch.testing.assert_close(gradients(out, net.flat)[0], gradients(net.plain(x).sum(), net.flat)[0])


@pytest.mark.parametrize("layer_norm", [False, True])
def test_some_networks_alone_are_those_of_the_whole(layer_norm: bool) -> None:
    net = Ensemble(4, [X_SIZE + 2, 9, 7, 3], torch.Generator().manual_seed(1), layer_norm)
    with torch.no_grad():
        net.flat.add_(0.1 * normal(2, len(net.flat)))  # scales and offsets that are not 1 and 0
    x, action = normal(3, 6, X_SIZE), normal(4, 6, 2)
    torch.testing.assert_close(net.plain(x, action, which=[2, 0]), net.plain(x, action)[[2, 0]])


def test_a_copy_has_parameters_of_its_own() -> None:
    net, x = network(2, [5], 1, 0), normal(0, 4, X_SIZE)
    before = net(x).detach().clone()
    copied = copy.deepcopy(net)
    with torch.no_grad():
        net.flat.add_(1.0)
    torch.testing.assert_close(copied(x), before)
    assert not torch.equal(net(x), before)


@settings(max_examples=40)  # each row is a case of its own
@given(st.integers(1, 8), st.integers(0, 99))
def test_the_squashed_gaussian_differentiates_as_autograd_does(rows: int, seed: int) -> None:
    mean, log_std, noise = normal(seed, rows, 4), normal(seed + 1, rows, 4), normal(seed + 2, rows, 4)
    mean, log_std = mean.double().requires_grad_(), log_std.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda m, s: squash(m, s, noise.double()), (mean, log_std))


def test_adam_is_pytorchs() -> None:
    ours, theirs = (network(1, [9], 2, 5) for _ in range(2))
    mine, reference = Adam(3e-3, ours), torch.optim.Adam([theirs.flat], lr=3e-3, fused=True)
    for step in range(20):
        gradient = normal(step, len(ours.flat))
        ours.flat.grad, theirs.flat.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    assert torch.equal(ours.flat, theirs.flat)


def test_what_dies_away_costs_no_time_and_is_left_as_it_was_outside_of_updates() -> None:
    tiny = torch.full((3,), 1e-40)
    net, other = (network(1, [9], 2, 5) for _ in range(2))
    adams = [Adam(3e-3, one) for one in (net, other)]
    net.flat.grad = other.flat.grad = normal(0, len(net.flat))
    for one in adams:
        one.step()
    net.flat.grad = other.flat.grad = torch.zeros_like(net.flat)
    for _ in range(1_000):  # 0.9 ** 1,000 is 1e-46
        with without_denormals():
            assert not (tiny * 1.0).any()
            adams[0].step()
        assert (tiny * 1.0).all()
        adams[1].step()
    assert torch.equal(net.flat, other.flat)
    assert not adams[0].state()["0.exp_avg"].any()
    with without_denormals(), without_denormals():
        pass
    assert (tiny * 1.0).all()
    with without_denormals():
        with without_denormals():
            pass
        assert not (tiny * 1.0).any()  # as it was found


def test_initial_weights_are_those_of_a_linear_layer() -> None:
    weight, bias = Ensemble(4, [100, 300], torch.Generator().manual_seed(0)).layers()[0]
    for values in (weight, bias):
        assert values.abs().max() <= 0.1
        assert values.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.05)
