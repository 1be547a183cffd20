"""Names of novel risks: which listed category they are close to, by a sentence encoder and a bank of phrases."""
