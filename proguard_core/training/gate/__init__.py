"""Whether a challenger may serve: never worse than the champion and the first release, as far as rows can show it."""
