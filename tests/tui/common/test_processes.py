"""Ports for child processes: such that nothing else takes them before their servers do."""

from tui.common.processes import LOWEST_PORT, first_ephemeral_port, free_port, port_is_free


def test_a_free_port_is_none_that_an_outgoing_connection_might_get() -> None:
    ports = [free_port() for _ in range(5)]
    assert all(LOWEST_PORT <= port < first_ephemeral_port() for port in ports)
    assert all(port_is_free(port) for port in ports)
