"""The engines, on MONAI's and Ignite's: what a bundle's configuration is made of."""

from MonaiSKD.engines.checkpoint import StageCheckpoint
from MonaiSKD.engines.data import ViewsDataset, eval_loader, sample_images, train_loader
from MonaiSKD.engines.distributed import rank, start_process_group, stop_process_group
from MonaiSKD.engines.dual import DualTrainer
from MonaiSKD.engines.feature_distillation import feature_stage
from MonaiSKD.engines.handlers import EpochMeans, FollowStudents, GradientClipping, KeepBest
from MonaiSKD.engines.initialise import Initialised, initialise_students, teacher_classifier
from MonaiSKD.engines.pipeline import Pipeline
from MonaiSKD.engines.precision import AutocastInferer, resolve_device, resolve_precision
from MonaiSKD.engines.predictions import SavePredictions
from MonaiSKD.engines.progress import Progress
from MonaiSKD.engines.recipe import check_recipe, check_settings
from MonaiSKD.engines.runfolder import LoadWeights, TrainedModel, held_out_items, load_run, load_weights
from MonaiSKD.engines.stages import Stage, parameter_groups, supervised_stage, warmup_cosine
from MonaiSKD.engines.validation import ValidationScore

__all__ = [
    "AutocastInferer",
    "DualTrainer",
    "EpochMeans",
    "FollowStudents",
    "GradientClipping",
    "Initialised",
    "KeepBest",
    "LoadWeights",
    "Pipeline",
    "Progress",
    "SavePredictions",
    "Stage",
    "StageCheckpoint",
    "TrainedModel",
    "ValidationScore",
    "ViewsDataset",
    "check_recipe",
    "check_settings",
    "eval_loader",
    "feature_stage",
    "held_out_items",
    "initialise_students",
    "load_run",
    "load_weights",
    "parameter_groups",
    "rank",
    "resolve_device",
    "resolve_precision",
    "sample_images",
    "start_process_group",
    "stop_process_group",
    "supervised_stage",
    "teacher_classifier",
    "train_loader",
    "warmup_cosine",
]
