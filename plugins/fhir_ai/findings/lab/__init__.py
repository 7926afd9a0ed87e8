"""Laboratory results: whether one stands out, by range, change, series and panel."""
