"""What findings speak for: `$diagnose-support` by published likelihood ratios, `$lab-anomaly` by ranges and changes."""
