"""What operators see: metrics, spans, probes and the status. Post content never enters any of it."""
