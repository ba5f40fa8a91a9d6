"""What the machine and NVIDIA's driver say about graphics cards, with stand-ins for both."""

from __future__ import annotations

import pytest

from fastmlp.cnn import cards


class Driver:
    """Stands in for libcuda: two cards, the second with 5 GiB; the functions may fail."""

    def __init__(self, **results):
        self.results = results

    def __getattr__(self, name):
        return lambda *arguments: self.results.get(name) or self.answer(name, *arguments)

    def answer(self, name, first, second=None, device=None):
        if name == "cuDeviceGetCount":
            first._obj.value = 2
        elif name == "cuDeviceGet":
            first._obj.value = second
        elif name == "cuDeviceGetName":
            first.value = f"NVIDIA {'AB'[device.value]}".encode()
        elif name == "cuDeviceTotalMem_v2":
            first._obj.value = (4 + second.value) << 30
        elif name == "cuDeviceGetAttribute":
            first._obj.value = {75: 8, 76: 9 * device.value}[second]
        return 0


def test_cards_have_the_name_memory_and_capability_that_the_driver_says(monkeypatch):
    monkeypatch.setattr(cards.ctypes, "CDLL", lambda name: Driver())
    assert cards.driver_cards() == [
        cards.Card("NVIDIA A", 4 << 30, (8, 0)),
        cards.Card("NVIDIA B", 5 << 30, (8, 9)),
    ]


def test_a_driver_without_cards_lists_none(monkeypatch):
    monkeypatch.setattr(cards.ctypes, "CDLL", lambda name: Driver(cuInit=100))
    assert cards.driver_cards() == []


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (
            {"cuInit": 803},
            r"another version than its library \(CUDA error 803\): start",
        ),
        ({"cuInit": 999}, r"does not start \(CUDA error 999\); see nvidia-smi"),
        ({"cuDeviceGetCount": 3}, "NVIDIA's driver does not start"),
        ({"cuDeviceGet": 1}, "does not describe card 0"),
        ({"cuDeviceTotalMem_v2": 1}, "does not describe card 0"),
        ({"cuDeviceGetAttribute": 1}, "does not describe card 0"),
    ],
)
def test_a_driver_that_fails_is_told_with_its_error(monkeypatch, results, message):
    monkeypatch.setattr(cards.ctypes, "CDLL", lambda name: Driver(**results))
    with pytest.raises(cards.DriverError, match=message):
        cards.driver_cards()


def test_a_missing_driver_is_told(monkeypatch):
    def missing(name):
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(cards.ctypes, "CDLL", missing)
    with pytest.raises(cards.DriverError, match=r"driver is not installed \(libcuda.so.1: cannot"):
        cards.driver_cards()


def test_a_card_is_seen_by_its_files_in_dev_or_on_the_bus(tmp_path):
    bus = tmp_path / "sys" / "bus" / "pci" / "devices"
    assert not cards.card_in_machine(tmp_path)
    for number, vendor, kind in ((0, "0x8086", "0x030000"), (1, "0x10de", "0x040300")):
        (bus / str(number)).mkdir(parents=True)
        (bus / str(number) / "vendor").write_text(f"{vendor}\n")
        (bus / str(number) / "class").write_text(f"{kind}\n")
    assert not cards.card_in_machine(tmp_path)  # another maker's card, and NVIDIA's sound
    (bus / "1" / "class").write_text("0x030200\n")
    assert cards.card_in_machine(tmp_path)
    (bus / "1" / "class").unlink()
    assert not cards.card_in_machine(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert cards.card_in_machine(tmp_path)
