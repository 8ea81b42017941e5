"""The Hatch plugin: a build hook that puts compiled models into wheels, and a builder for static sites."""
