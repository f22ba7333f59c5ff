from importlib.metadata import version

import normix_expfam


def test_version_is_that_of_the_metadata():
    assert normix_expfam.__version__ == version("normix-expfam")
