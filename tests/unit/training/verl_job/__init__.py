"""The verl job without verl: what it is told, how Ray is asked, what is brought back."""
