"""Many runs side by side: what result folders hold, one table for each protocol."""
