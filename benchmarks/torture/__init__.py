"""What runs and files are put through to see that nothing learned is lost and nothing foreign is run."""
