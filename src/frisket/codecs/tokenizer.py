"""Any tokenizer of the transformers library as a codec of fixed length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, MissingExtra, check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/tokenizer")
@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """A pretrained tokenizer: texts are cut or padded to `length` ids.

    target: a folder or a name on the hub; only tokenizers that the library itself implements are loaded, code from a
    repository is never run. Special tokens are added as the tokenizer does by itself. Padding uses its padding token,
    or its end token if it has none. Needs the extra `diffusers`.
    """

    target: str
    length: int = 64
    revision: str | None = None

    def __post_init__(self):
        check(self.length >= 1, "codec.length", self.length, "1 or more")

    def fit(self, source: Source | Stream) -> Tokenizer:
        return self

    def build(self) -> TokenizerCodec:
        """Load it. Raises `FrisketError` if it cannot be found or has neither padding nor end token."""
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise MissingExtra("transformers", "diffusers", f"the tokenizer {self.target!r}") from error
        except RuntimeError as error:
            raise FrisketError(f"transformers cannot be imported: {' '.join(str(error).split())}") from error
        try:
            held = AutoTokenizer.from_pretrained(self.target, revision=self.revision, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise FrisketError(f"codec.target = {self.target!r}: no tokenizer can be loaded: {reason}") from error
        return TokenizerCodec(held, self.length, self.target)


class TokenizerCodec:
    """A loaded tokenizer. pad: the id that fills up."""

    def __init__(self, tokenizer: Any, length: int, target: str = "tokenizer"):
        self.tokenizer, self.length = tokenizer, length
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        if pad is None:
            raise FrisketError(f"codec.target = {target!r}: it has neither a padding nor an end token")
        self.pad = int(pad)

    @property
    def vocabulary(self) -> int:
        return len(self.tokenizer)

    def encode(self, x: Sequence[str], draw: Tensor | None = None) -> Int[Tensor, "b n"]:
        rows = self._rows(x)
        return torch.tensor([row + [self.pad] * (self.length - len(row)) for row in rows], dtype=torch.int64)

    def valid(self, x: Sequence[str]) -> Bool[Tensor, "b n"]:
        """Which ids of `encode(x)` are not padding."""
        lengths = torch.tensor([len(row) for row in self._rows(x)], dtype=torch.int64)
        return torch.arange(self.length) < lengths[:, None]

    def decode(self, state: Int[Tensor, "b n"]) -> list[str]:
        """Texts without special tokens; what was cut or normalised away in encoding does not come back."""
        return self.tokenizer.batch_decode(state.tolist(), skip_special_tokens=True)

    def spec(self, info: Info) -> Spec:
        return Spec(kind="ids", shape=(self.length,), vocabulary=self.vocabulary)

    def _rows(self, x: Sequence[str]) -> list[list[int]]:
        if not x:
            return []
        return self.tokenizer(list(x), truncation=True, max_length=self.length, padding=False)["input_ids"]
