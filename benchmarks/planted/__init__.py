"""A month of risks whose truth is planted: what the mining of risks is measured against."""
