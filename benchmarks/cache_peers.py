"""Caches of diffusers and cache-dit on one `DiTTransformer2DModel`, each with its own way of being put on and reset.

Every arm gets a copy of the host. Settings beyond those that are swept are chosen in the peer's favour: exact
derivatives (float32) and all branches for TaylorSeer, one warm-up step where a number can be given, the whole range of
times for attention broadcasts, ratios calibrated on this very model for MagCache.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from frisket.core.condition import Condition, Output


class Host(nn.Module):
    """diffusers' transformer called as a frisket model. The null rows go first, as diffusers' pipelines order them."""

    def __init__(self, transformer: nn.Module, classes: int):
        super().__init__()
        self.transformer, self.classes = transformer, classes
        self.time = 0.0  # what peers ask for the time of the running step

    def forward(self, x: Tensor, t: Tensor, cond: Condition) -> Output:
        label = cond.values["label"].masked_fill(cond.dropped("label"), self.classes)
        order = torch.arange(len(x)).roll(len(x) // 2)
        self.time = float(t.max())
        out = self.transformer(hidden_states=x[order], timestep=t[order], class_labels=label[order], return_dict=False)[
            0
        ]
        return Output(out[order.argsort()])


Put = Callable[[Host], AbstractContextManager]


@contextmanager
def nothing(host: Host) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Arm:
    """One point: family (who made it), method, setting, how many steps, and what stands on the host while a run lasts.
    enable: puts hooks on the arm's own copy of the host for good."""

    family: str
    method: str
    setting: str
    steps: int
    put: Put = field(default=nothing, repr=False)
    enable: Callable[[Host, int], None] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"{self.family}: {self.method}, {self.setting}"

    def host(self, plain: Host) -> Host:
        """A copy with the arm's hooks. Raises whatever the peer raises when it refuses the model."""
        own = copy.deepcopy(plain)
        if self.enable is not None:
            self.enable(own, self.steps)
        return own


@contextmanager
def _context(host: Host) -> Iterator[None]:
    """One run under diffusers' hooks."""
    transformer: Any = host.transformer
    transformer._reset_stateful_cache()
    with transformer.cache_context("run"):
        yield


def _enabled(config: Callable[[Host, int], Any]) -> Callable[[Host, int], None]:
    def enable(host: Host, steps: int) -> None:
        from diffusers.hooks import HookRegistry

        apply, made = config(host, steps)
        apply(host.transformer, made)
        registry = HookRegistry.check_if_exists_or_initialize(host.transformer)
        if hasattr(registry, "invalidate_child_registries_cache"):
            registry.invalidate_child_registries_cache()

    return enable


def diffusers_arms(steps: int, ratios: list[float]) -> list[Arm]:
    """All of diffusers' caches that need no facts of a certain model. ratios: MagCache's, of this model.

    diffusers declares caches on models that have `CacheMixin`; the DiT has not, so the hooks are applied by their
    public functions and `give_mixin` lends it the methods that name and reset a run.
    """
    from diffusers import hooks

    span = (-1, 1001)
    brackets: list[tuple[str, str, Callable[[Host, int], Any]]] = []
    for threshold in (0.05, 0.1, 0.2, 0.3, 0.5):
        brackets.append(
            (
                "FirstBlockCache",
                f"threshold {threshold}",
                lambda h, s, v=threshold: (hooks.apply_first_block_cache, hooks.FirstBlockCacheConfig(threshold=v)),
            )
        )
    for every in (2, 3, 4, 5, 6):
        for order in (1, 2) if every > 2 else (1,):
            brackets.append(
                (
                    "TaylorSeer",
                    f"interval {every}, order {order}, all branches, float32",
                    lambda h, s, n=every, o=order: (
                        hooks.apply_taylorseer_cache,
                        hooks.TaylorSeerCacheConfig(
                            cache_interval=n,
                            max_order=o,
                            disable_cache_before_step=o + 1,
                            taylor_factors_dtype=torch.float32,
                            cache_identifiers=[r"transformer_blocks\.\d+\.(attn1|ff)"],
                        ),
                    ),
                )
            )
    brackets.append(
        (
            "TaylorSeer",
            "interval 3, default modules",
            lambda h, s: (hooks.apply_taylorseer_cache, hooks.TaylorSeerCacheConfig(cache_interval=3)),
        )
    )
    for every in (2, 3, 5):
        brackets.append(
            (
                "PyramidAttentionBroadcast",
                f"range {every}",
                lambda h, s, n=every: (
                    hooks.apply_pyramid_attention_broadcast,
                    hooks.PyramidAttentionBroadcastConfig(
                        spatial_attention_block_skip_range=n,
                        spatial_attention_timestep_skip_range=span,
                        current_timestep_callback=lambda: int(h.time),
                    ),
                ),
            )
        )
    for every in (2, 3, 5):
        brackets.append(
            (
                "FasterCache",
                f"null branch every {every}, attention every 2",
                lambda h, s, n=every: (
                    hooks.apply_faster_cache,
                    hooks.FasterCacheConfig(
                        spatial_attention_block_skip_range=2,
                        unconditional_batch_skip_range=n,
                        tensor_format="BCHW",
                        current_timestep_callback=lambda: int(h.time),
                        attention_weight_callback=lambda _: 0.5,
                        low_frequency_weight_callback=lambda _: 1.0,
                        high_frequency_weight_callback=lambda _: 1.0,
                        _unconditional_conditional_input_kwargs_identifiers=[
                            "hidden_states",
                            "timestep",
                            "class_labels",
                        ],
                    ),
                ),
            )
        )
    for threshold, most in ((0.06, 1), (0.1, 2), (0.2, 3), (0.4, 5)):
        brackets.append(
            (
                "MagCache",
                f"threshold {threshold}, at most {most} in a row",
                lambda h, s, v=threshold, m=most: (
                    hooks.apply_mag_cache,
                    hooks.MagCacheConfig(
                        threshold=v,
                        max_skip_steps=m,
                        retention_ratio=1 / s,
                        num_inference_steps=s,
                        mag_ratios=ratios,
                    ),
                ),
            )
        )
    brackets.append(
        (
            "SeaCache",
            "threshold 0.25",
            lambda h, s: (hooks.apply_sea_cache, hooks.SeaCacheConfig(threshold=0.25)),
        )
    )
    return [Arm("diffusers", name, word, steps, _context, _enabled(make)) for name, word, make in brackets]  # fmt: skip


def give_mixin(transformer: nn.Module) -> None:
    """Lend the model the methods of diffusers' `CacheMixin`."""
    from diffusers.models.cache_utils import CacheMixin

    cls = type(transformer)
    if not issubclass(cls, CacheMixin):
        transformer.__class__ = type(cls.__name__, (cls, CacheMixin), {"__module__": cls.__module__})


def cache_dit_arms(steps: int) -> list[Arm]:
    """DBCache with one block before and none behind, plain and with its Taylor calibrator."""

    @contextmanager
    def put(host: Host) -> Iterator[None]:
        import cache_dit

        cache_dit.refresh_context(host.transformer, num_inference_steps=steps)
        yield

    def enable(threshold: float, order: int | None, mask: int | None) -> Callable[[Host, int], None]:
        def call(host: Host, count: int) -> None:
            import cache_dit
            from cache_dit import BlockAdapter, DBCacheConfig, ForwardPattern, TaylorSeerCalibratorConfig
            from cache_dit.caching.patch_functors import DiTPatchFunctor

            logging.disable(logging.WARNING)
            # the mask says which steps are full: the first, and every `mask`-th counted from the last
            chosen = None if mask is None else [
                int(i == 0 or (count - 1 - i) % mask == 0) for i in range(count)
            ]  # fmt: skip
            config = DBCacheConfig(
                Fn_compute_blocks=1, Bn_compute_blocks=0, residual_diff_threshold=threshold, max_warmup_steps=1,
                num_inference_steps=count, enable_separate_cfg=False, steps_computation_mask=chosen,
                steps_computation_policy="static" if chosen else "dynamic",
            )  # fmt: skip
            forecast = None if order is None else TaylorSeerCalibratorConfig(taylorseer_order=order)
            adapter = BlockAdapter(
                transformer=host.transformer, blocks=cast(nn.ModuleList, host.transformer.transformer_blocks),
                forward_pattern=ForwardPattern.Pattern_3, patch_functor=DiTPatchFunctor(), has_separate_cfg=False,
            )  # fmt: skip
            cache_dit.enable_cache(adapter, cache_config=config, calibrator_config=forecast)

        return call

    out = []
    for threshold in (0.05, 0.1, 0.2, 0.4):
        for order in (None, 1):
            word = f"threshold {threshold}" + ("" if order is None else f", Taylor {order}")
            out.append(Arm("cache-dit", "DBCache F1B0", word, steps, put, enable(threshold, order, None)))
    for every in (2, 3, 4, 5):
        for order in (None, 1):
            word = f"full every {every}" + ("" if order is None else f", Taylor {order}")
            out.append(Arm("cache-dit", "DBCache F1B0, static mask", word, steps, put, enable(1.0, order, every)))
    return out
