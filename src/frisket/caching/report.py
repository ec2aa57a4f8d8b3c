"""What a cache did: forwards, branch calls computed, reused and forecast, multiply-adds spent, bytes held."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Forward:
    """One forward of the model. computed, reused, forecast: how many cached sites were answered in each way."""

    run: str
    index: int
    call: int
    branch: str
    computed: int
    reused: int
    forecast: int

    @property
    def full(self) -> bool:
        """Every cached site was computed."""
        return self.reused + self.forecast == 0


@dataclass(kw_only=True)
class Report:
    """forwards: in order. macs: multiply-adds of matrix products that were done, always-on parts included. dense_macs:
    what the same forwards cost without a cache. bytes: the most that was stored at once."""

    forwards: list[Forward] = field(default_factory=list)
    macs: float = 0.0
    dense_macs: float = 0.0
    bytes: int = 0

    @property
    def computed(self) -> int:
        """Calls of cached sites that were computed."""
        return sum(f.computed for f in self.forwards)

    @property
    def reused(self) -> int:
        """Calls of cached sites that were answered with a stored value."""
        return sum(f.reused for f in self.forwards)

    @property
    def forecast(self) -> int:
        """Calls of cached sites that were answered with a forecast from stored values."""
        return sum(f.forecast for f in self.forwards)

    @property
    def full(self) -> int:
        """Forwards that computed everything."""
        return sum(f.full for f in self.forwards)

    @property
    def share(self) -> float:
        """Multiply-adds done, as a share of those without a cache; 1 before any forward."""
        return self.macs / self.dense_macs if self.dense_macs else 1.0

    def as_dict(self) -> dict[str, float]:
        """The numbers, without the list of forwards."""
        return {
            "forwards": len(self.forwards), "full": self.full, "computed": self.computed, "reused": self.reused,
            "forecast": self.forecast, "macs": self.macs, "share": self.share, "bytes": self.bytes,
        }  # fmt: skip
