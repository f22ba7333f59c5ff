from importlib.metadata import version

import normix_fit


def test_version_is_that_of_the_metadata():
    assert normix_fit.__version__ == version("normix-fit")
