"""Makes the sentence encoder of novel names: export, int8 weights, fitted thresholds. Needs torch."""
