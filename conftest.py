"""Every test, also in the isolated environment of a package, has the plugin in tools/."""

pytest_plugins = ["normix_pytest"]
