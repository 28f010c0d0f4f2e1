"""The tree of exceptions: each is ours, and what a caller would expect of the standard library."""

import inspect

import pytest

import alknet_firewall
from alknet_firewall import errors

BASES = {
    "AlknetFirewallError": (Exception,),
    "ArtifactError": (errors.AlknetFirewallError,),
    "ArtifactNotFoundError": (errors.ArtifactError, FileNotFoundError),
    "ArtifactCorruptError": (errors.ArtifactError, ValueError),
    "DownloadError": (errors.ArtifactError, OSError),
    "InvalidInputError": (errors.AlknetFirewallError, ValueError),
    "ShapeError": (errors.AlknetFirewallError, ValueError),
    "MissingDependencyError": (errors.AlknetFirewallError, ImportError),
}


def test_there_are_these_exceptions_and_no_others():
    assert {name for name, value in vars(errors).items() if inspect.isclass(value)} == set(BASES)


@pytest.mark.parametrize("name", BASES)
def test_an_exception_has_both_its_bases_and_is_public(name):
    error = getattr(errors, name)
    assert error.__bases__ == BASES[name]
    assert getattr(alknet_firewall, name) is error


@pytest.mark.parametrize("name", BASES)
def test_an_exception_keeps_its_message(name):
    """FileNotFoundError and OSError take several arguments; one is still the message."""
    assert str(getattr(errors, name)("what, where, what to do")) == "what, where, what to do"


def test_the_tree_in_the_docstring_names_every_exception_with_its_bases():
    for name, bases in BASES.items():
        drawn = f"{name}({', '.join(base.__name__ for base in bases)})" if len(bases) > 1 else name
        assert drawn in errors.__doc__


def test_a_missing_dependency_gives_the_install_command():
    error = errors.missing_dependency("The parity check", "torch", "torch")
    assert isinstance(error, errors.MissingDependencyError)
    assert "The parity check needs torch" in str(error)
    assert "pip install 'alknet-firewall[torch]'" in str(error)
