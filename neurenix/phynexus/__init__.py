"""The engine behind a Device: runs graphs and plans on what this host really has, and finds out what that is."""
