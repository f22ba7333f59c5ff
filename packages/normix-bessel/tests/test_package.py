from importlib.metadata import version

import normix_bessel


def test_version_is_that_of_the_metadata():
    assert normix_bessel.__version__ == version("normix-bessel")
