from importlib.metadata import version

import normix


def test_version_is_that_of_the_metadata():
    assert normix.__version__ == version("normix")
