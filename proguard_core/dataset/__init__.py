"""From posts, reviews and public sets to what a guard is trained on: balanced, split and described."""
