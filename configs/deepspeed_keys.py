"""Which keys a DeepSpeed configuration has, of the version that we run; a test compares them."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

TOP = frozenset(
    [
        "activation_checkpointing",
        "aio",
        "amp",
        "autotuning",
        "bf16",
        "bfloat16",
        "checkpoint",
        "comet",
        "comms_logger",
        "communication_data_type",
        "compile",
        "compression_training",
        "csv_monitor",
        "curriculum_learning",
        "data_efficiency",
        "data_types",
        "dataloader_drop_last",
        "datastates_ckpt",
        "disable_allgather",
        "disable_python_gc",
        "dump_state",
        "eigenvalue",
        "elasticity",
        "expert_parallel",
        "flops_profiler",
        "fp16",
        "gradient_accumulation_steps",
        "gradient_allreduce_op",
        "gradient_clipping",
        "gradient_predivide_factor",
        "graph_harvesting",
        "hybrid_engine",
        "log_level",
        "managed_gradient_accumulation",
        "memory_breakdown",
        "nebula",
        "optimizer",
        "pipeline",
        "prescale_gradients",
        "progressive_layer_drop",
        "quantize_training",
        "scheduler",
        "seq_parallel_communication_data_type",
        "sparse_attention",
        "sparse_gradients",
        "steps_per_print",
        "tensor_parallel",
        "tensorboard",
        "timers",
        "torch_autocast",
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "use_data_before_expert_parallelism",
        "vocabulary_size",
        "wall_clock_breakdown",
        "wandb",
        "weight_quantization",
        "zero_allow_untested_optimizer",
        "zero_force_ds_cpu_optimizer",
        "zero_optimization",
    ]
)
"""Keys that DeepSpeed reads of a configuration; it ignores any other without a word."""
ZERO = frozenset(
    [
        "allgather_bucket_size",
        "allgather_partitions",
        "allgather_sequential",
        "compute_grad_norm",
        "contiguous_gradients",
        "cpu_offload",
        "cpu_offload_param",
        "cpu_offload_use_pin_memory",
        "elastic_checkpoint",
        "enable_sanity_checks",
        "gather_16bit_weights_on_model_save",
        "ignore_unused_parameters",
        "leaf_module",
        "legacy_stage1",
        "load_from_fp32_weights",
        "log_trace_cache_warnings",
        "max_live_parameters",
        "max_reuse_distance",
        "memory_efficient_linear",
        "model_persistence_threshold",
        "module_granularity_threshold",
        "offload_optimizer",
        "offload_param",
        "overlap_comm",
        "override_module_apply",
        "param_persistence_threshold",
        "parameter_alignment",
        "pipeline_loading_checkpoint",
        "prefetch_bucket_size",
        "reduce_bucket_size",
        "reduce_scatter",
        "round_robin_gradients",
        "save_muon_momentum_buffer_in_memory",
        "stage",
        "stage3_allgather_sequential",
        "stage3_gather_16bit_weights_on_model_save",
        "stage3_gather_fp16_weights_on_model_save",
        "stage3_max_live_parameters",
        "stage3_max_reuse_distance",
        "stage3_model_persistence_threshold",
        "stage3_module_granularity_threshold",
        "stage3_param_persistence_threshold",
        "stage3_prefetch_bucket_size",
        "stage3_use_all_reduce_for_fetch_params",
        "sub_group_size",
        "use_all_reduce_for_fetch_params",
        "use_multi_rank_bucket_allreduce",
        "zenflow",
        "zero_hpz_partition_size",
        "zero_quantized_gradients",
        "zero_quantized_nontrainable_weights",
        "zero_quantized_weights",
    ]
)
"""Keys of `zero_optimization`; DeepSpeed refuses any other."""
OFFLOAD_PARAM = frozenset(
    [
        "buffer_count",
        "buffer_size",
        "device",
        "max_in_cpu",
        "nvme_path",
        "pin_memory",
    ]
)
OFFLOAD_OPTIMIZER = frozenset(
    [
        "buffer_count",
        "cpuadam_cores_perc",
        "device",
        "fast_init",
        "nvme_path",
        "pin_memory",
        "pipeline_read",
        "pipeline_write",
        "ratio",
        "super_offload",
    ]
)


def unknown_keys(overrides: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each key that DeepSpeed does not know, with the nearest that it does."""
    sections: list[tuple[str, Any, frozenset[str]]] = [("", overrides, TOP)]
    zero = overrides.get("zero_optimization")
    if isinstance(zero, Mapping):
        sections.append(("zero_optimization.", zero, ZERO))
        sections.append(
            ("zero_optimization.offload_param.", zero.get("offload_param"), OFFLOAD_PARAM)
        )
        sections.append(
            (
                "zero_optimization.offload_optimizer.",
                zero.get("offload_optimizer"),
                OFFLOAD_OPTIMIZER,
            )
        )
    for prefix, section, known in sections:
        for key in section if isinstance(section, Mapping) else ():
            if key not in known:
                yield _unknown(prefix, str(key), known)


def _unknown(prefix: str, key: str, known: frozenset[str]) -> str:
    if not prefix and key in ZERO:
        return f"overrides: DeepSpeed has {key} in zero_optimization. Put it there"
    near = get_close_matches(key[:60], sorted(known), n=1)
    shown = f"{prefix}{key[:60]}".replace("; ", ";")
    hint = f"Did you mean {prefix}{near[0]}?" if near else "Leave it out"
    return f"overrides: DeepSpeed has no {shown}. {hint}"
