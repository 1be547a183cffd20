"""Public sets, in the forms they are published in, as benchmark rows."""
