"""The console's pages and its API, on the risk store. They work without JavaScript and load nothing from elsewhere."""
