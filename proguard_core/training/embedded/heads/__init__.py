"""The loop of the embedded guard: heads retrained on its frozen encoder, in a minute and without torch."""
