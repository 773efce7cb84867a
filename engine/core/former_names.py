"""Names that have changed while files, scripts and other versions still use the former ones: the one table of them, former -> current."""

from __future__ import annotations

SETTINGS: dict[str, str] = {
    "pause_when_sick": "pause_on_failure", "trial": "smoke_test", "growth": "grow_rate", "reach_limit": "max_radius_2d",
}
"""Settings of a training. Files and Blender's registered properties keep the former name, which the first version of the engine reads;
the command line knows both."""

FLAGS: dict[str, str] = {"on_idle": "shutdown_command"}
"""Flags of the command line that are no settings of a training."""

OPERATORS: dict[str, str] = {
    "ask_engine": "test_remote_engine",
    "copy_diagnosis": "copy_self_check",
    "delete_there": "delete_remote_job",
    "diagnose": "self_check",
    "mend_splats": "fix_unapplied_transform",
    "watch": "open_earlier_training",
}
"""Blender operators without their prefix `splatwright.`, which scripts may call."""

OPERATORS_GONE: dict[str, str] = {
    "convert_images": "Images need not be converted any more: Train reads them as they are",
}
"""Blender operators that did what is not needed any more, and what they say now to scripts that call them."""

MODULES: dict[str, str] = {
    "batch": "batch.tasks", "batch_trainings": "batch.trainings", "blender": "batch.blender", "cli": "cli.main",
    "client": "jobs.local_engine", "commands": "cli", "core.axes": "core.splats.axes", "core.camera": "core.cameras.camera",
    "core.camera_path": "core.cameras.camera_path", "core.capture_order": "core.protocol.capture_messages",
    "core.colmap": "core.datasets.colmap", "core.colmap_export": "core.datasets.colmap_export",
    "core.colmap_files": "core.datasets.colmap_files", "core.color_profile": "core.images.color_profile",
    "core.compressed_ply": "core.formats.compressed_ply", "core.config": "core.protocol.config",
    "core.coverage": "core.datasets.view_coverage",
    "core.dataset": "core.datasets.dataset", "core.distortion": "core.cameras.distortion", "core.dot_splat": "core.formats.dot_splat",
    "core.events": "core.protocol.events", "core.excluded": "core.datasets.excluded", "core.figures": "core.protocol.estimate_text",
    "core.floaters": "core.splats.floaters", "core.formats": "core.formats.registry", "core.gaussians": "core.splats.gaussians",
    "core.image_size": "core.images.image_size", "core.instant": "core.splats.from_depth", "core.job": "core.protocol.folder",
    "core.job_lock": "core.protocol.lock", "core.job_spec": "core.protocol.spec", "core.lenses": "core.cameras.lenses",
    "core.photo_options": "core.protocol.sfm_options", "core.photo_search": "core.datasets.photo_search",
    "core.photo_sources": "core.datasets.file_types", "core.picking": "core.splats.picking", "core.placing": "core.splats.placing",
    "core.ply": "core.formats.ply", "core.ply_file": "core.formats.ply_container", "core.png": "core.images.png",
    "core.poses_report": "core.datasets.poses_report", "core.quantised": "core.formats.quantization",
    "core.real_estate": "core.datasets.realestate10k", "core.sh": "core.splats.sh", "core.sources": "core.datasets.read",
    "core.splat_file": "core.formats.splat_file", "core.spz": "core.formats.spz", "core.spz_container": "core.formats.spz_container",
    "core.step": "core.protocol.progress", "core.transform": "core.splats.transform",
    "core.transforms_json": "core.datasets.transforms_json", "core.wire": "core.protocol.http_messages", "core.words": "core.text",
    "core.zstd": "core.formats.zstd", "estimation": "jobs.estimation", "preflight.agreement": "preflight.reprojection_checks",
    "preflight.budget": "estimate.budget", "preflight.estimating": "estimate.estimate", "preflight.fitting": "estimate.fit",
    "preflight.forecast": "estimate.forecast", "preflight.lettering": "preflight.bitmap_font", "preflight.looks": "preflight.image_stats",
    "preflight.masks": "preflight.mask_checks", "preflight.neighbours": "preflight.neighbour_checks",
    "preflight.pictures": "preflight.image_checks", "preflight.points": "preflight.point_checks",
    "preflight.sentences": "preflight.findings", "preflight.sheet": "preflight.contact_sheet", "preflight.views": "preflight.pose_checks",
    "processes": "jobs.processes", "remote.fetching": "remote.download", "remote.mirror": "remote.local_copy",
    "remote.sending": "remote.upload", "server.cluster.leash": "server.cluster.supervised_worker",
    "server.cluster.on_node": "server.cluster.node_agent", "server.cluster.room": "server.cluster.slots",
    "server.guard": "server.middleware", "server.idle": "server.idle_shutdown", "server.refusal": "server.http_errors",
    "sfm.coverage": "sfm.photo_gaps", "terminal": "cli.terminal", "training.cuda.photos": "training.cuda.photo_terms",
    "training.demands": "training.requirements", "training.depth_start": "training.init.depth_start",
    "training.distributed": "training.group", "training.gauge": "estimate.peak_memory", "training.health": "training.health.monitor",
    "training.images": "training.data.images", "training.initialise": "training.init.initialize", "training.maps": "training.data.maps",
    "training.measured": "estimate.probe_result", "training.neighbours": "training.init.knn",
    "training.photos": "training.data.image_store", "training.probe": "estimate.probe", "training.room": "training.shrink",
    "training.signs": "training.health.measurements", "training.sky": "training.init.sky", "training.symptoms": "training.health.checks",
    "training.targets": "training.data.targets", "training.trends": "training.health.trends", "training.trial": "training.smoke_test",
    "training.watch": "training.clocks",
}
"""Modules below `splatwright` that lie elsewhere now; `commands` stands for all that lay in it."""

PUBLIC: frozenset[str] = frozenset({
    "core.errors", "core.splats.gaussians", "core.splats.sh", "core.splats.transform", "core.splats.axes", "core.splats.floaters",
    "core.splats.from_depth", "core.formats.registry", "core.formats.ply", "core.formats.splat_file", "core.datasets.dataset",
    "core.datasets.read", "core.datasets.transforms_json", "core.datasets.points_ply", "core.datasets.colmap_export",
    "core.cameras.camera", "core.cameras.camera_path", "core.protocol.config", "core.protocol.sfm_options", "core.protocol.spec",
    "core.protocol.events", "core.protocol.folder", "jobs.local_engine", "remote.engine", "evaluation.measure", "evaluation.scene",
})
"""Modules below `splatwright` that scripts may import, as docs/python.md states them. Their former places go on working for one version."""

MEMBERS: dict[str, dict[str, str]] = {
    "core.formats": {name: f"core.formats.registry.{name}" for name in (
        "COMPRESSED_PLY", "FORMATS", "Format", "PLY", "SPLAT", "SPZ", "SPZ_3", "SUFFIXES", "format_named", "format_of", "lost_in",
        "read_splats", "write_splats")},
    "core.ply": {
        **{name: f"core.datasets.points_ply.{name}" for name in ("COLOR_NAMES", "read_points", "write_points")},
        **{name: f"core.formats.ply_columns.{name}" for name in (
            "BASE", "NORMAL", "REQUIRED", "REST_COUNTS", "ROTATION", "SCALE", "rest_names")}},
    "core.transforms_json": {
        **{name: f"core.datasets.transforms_frame.{name}" for name in ("FISHEYE", "FISHEYE_DISTORTION", "LENS", "MODELS", "RATIONAL")},
        "IMAGE_ENDINGS": "core.datasets.photo_search.ENDINGS"},
    "core.splat_file": {
        "Stored": "core.formats.splat_file.StoredSplats", "brought_in": "core.formats.splat_file.to_blender",
        "taken_out": "core.formats.splat_file.from_blender"},
    "evaluation.measure": {"Row": "evaluation.measure.ViewRow"},
    "evaluation.scene": {"Scene": "evaluation.scene.SplatScene"},
    "batch": {
        "Record": "batch.tasks.TaskRecord", "State": "batch.tasks.TaskState", "told": "batch.tasks.summary_sentence",
        **{name: f"batch.tasks.{name}" for name in (
            "RECORD", "Task", "fingerprint", "forget", "job_spec", "progress", "read_record", "summary", "time_left", "write_record")}},
    "cli": {name: f"cli.main.{name}" for name in ("VERBS", "app", "run", "with_preset")},
    "training.health": {"Health": "training.health.monitor.Health"},
}
"""What modules and packages defined under another name, or defined at all: where it is. The rest of a module moved with it."""
