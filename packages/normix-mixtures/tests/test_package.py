from importlib.metadata import version

import normix_mixtures


def test_version_is_that_of_the_metadata():
    assert normix_mixtures.__version__ == version("normix-mixtures")
