"""The whole run: teach the teacher, teach two students, fine-tune one, and hand it to the finish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader

import MonaiSKD
from MonaiSKD import events
from MonaiSKD.datasets import SPLITS, Case, DataList
from MonaiSKD.datasets.unlabeled import UNLABELED
from MonaiSKD.engines.checkpoint import save_state
from MonaiSKD.engines.data import ViewsDataset
from MonaiSKD.engines.distributed import rank
from MonaiSKD.engines.handlers import KeepBest
from MonaiSKD.engines.initialise import Initialised
from MonaiSKD.engines.recipe import decisive
from MonaiSKD.engines.runfolder import (
    CONFIG,
    EVIDENCE,
    METRICS,
    MODEL_FILE,
    PLAN,
    REPORT,
    SUMMARY,
    TYPICALITY,
    claim,
    save_model,
)
from MonaiSKD.engines.stages import Stage, chosen, curves, kept, start_from
from MonaiSKD.evaluation import (
    Calibration,
    Example,
    ReportData,
    calibrate,
    classification_metrics,
    count_parameters,
    fit_evidence,
    fit_typicality,
    measure_atypicality,
    metrics_by_source,
    multiply_adds,
    occlusion_r2,
    peak_memory_bytes,
    plot_summary,
    write_report,
)
from MonaiSKD.evaluation.predict import predict
from MonaiSKD.files import write_json
from MonaiSKD.models import Classifier, Teacher
from MonaiSKD.models.evidence import Evidence
from MonaiSKD.models.features import feature_maps
from MonaiSKD.models.typicality import LIMIT, Typicality
from MonaiSKD.reading import Modality


@dataclass
class Pipeline:
    """One training run, from the stages a bundle's configuration describes to the run folder.

    Interrupted and called again with the same configuration, it goes on where it was.

    Attributes:
        output_dir: the run folder.
        title: headline of the report.
        model: name and version that the model file will carry.
        modality: canonical-image rule.
        recipe: every option of the run, as the configuration gives it; recorded.
        datalist: the data; its test split is read once, at the end.
        teacher: the large network.
        initialised: the students and their plans.
        network: what the kept student is loaded into.
        stages: "features", "teacher", "dual", "finetune"; those of no epochs are left out.
        training: the training images; what is typical is learned from them.
        loaders: split -> loader of canonical images ("val", "test").
        device: where to predict.
    """

    output_dir: str | Path
    title: str
    model: Mapping[str, str]
    modality: Modality
    recipe: Mapping[str, Any]
    datalist: DataList
    teacher: Teacher
    initialised: Initialised
    network: Classifier
    stages: list[Stage]
    training: ViewsDataset
    loaders: Mapping[str, DataLoader]
    device: torch.device

    def run(self) -> None:
        """Run every stage that is not done, then evaluate and write the run folder."""
        self.learn()
        self._finish(Path(self.output_dir))

    def learn(self) -> Classifier:
        """Run every stage that is not done; the result is the kept student, not calibrated yet."""
        self.begin()
        self.stages = [stage for stage in self.stages if stage.trainer.state.max_epochs > 0]
        plan = [{"name": stage.name, "epochs": stage.trainer.state.max_epochs} for stage in self.stages]
        events.emit("plan", stages=plan)
        best: KeepBest | None = None
        for stage in self.stages:
            if stage.name == "dual":  # the students may have moved since their averages were made
                stage.checkpoint.objects["ema"].restart(self.initialised.pair.students)
            elif stage.name == "finetune" and best is not None:
                start_from(stage, best.weights)
            stage.run()
            best = stage.best
            if stage.name == "teacher":
                stage.checkpoint.objects["network"].load_state_dict(chosen(stage).weights)
        self.network.load_state_dict(chosen(self.stages[-1]).weights)
        return self.network

    def begin(self) -> None:
        """Note in the run folder what it is of, and the plans with what compensation did to each student by layers.

        Checkpoints of another run may be put there afterwards (they must be of the same images), but not before.

        Raises:
            SKDError: it holds a training of other data or options (see :func:`~MonaiSKD.engines.runfolder.claim`).
        """
        if rank() > 0:
            return
        unlabeled = [item["image"] for item in self.training.data if item["label"] == UNLABELED]
        run = {
            **decisive(self.recipe), "modality": self.modality, "teacher_weights": self.teacher.source,
            "val_interval": chosen(self.stages[-1]).interval, "data": self._data_sha256,
            "unlabeled": DataList(tuple(Case(path, "") for path in unlabeled), ()).sha256(),
        }  # fmt: skip
        claim(self.output_dir, run)
        plans, reports = self.initialised.plans, self.initialised.reports
        note = {"plans": [plan.to_dict() for plan in plans], "compensation": [report.to_dict() for report in reports]}
        write_json(Path(self.output_dir) / PLAN, note)

    @cached_property
    def _data_sha256(self) -> str:
        """Of the data list; computed once, because every image is read for it."""
        return self.datalist.sha256()

    def _finish(self, folder: Path) -> None:
        events.emit("task", name="calibrate")
        predictions = {split: predict(self.network, loader, self.device) for split, loader in self.loaders.items()}
        if rank() > 0:
            return
        names = list(self.datalist.class_names)
        calibration = calibrate(*predictions["val"], self.recipe["sensitivity"])
        metrics: dict[str, Any] = {
            split: {
                **classification_metrics(
                    calibration.probabilities(logits),
                    labels.numpy(),
                    names,
                    groups=[case.sampled for case in self.datalist.of(split)],
                ),
                **calibration.account(logits, labels, names),
            }
            for split, (logits, labels) in predictions.items()
        }
        for split, (logits, _) in predictions.items():
            given = [names[index] for index in logits.argmax(1).tolist()]
            by_source = metrics_by_source(given, self.datalist.of(split), self.datalist.cases)
            if by_source is not None:
                metrics[split]["by_source"] = by_source
        self.network.temperature.fill_(calibration.temperature)
        save_model(folder, self.network)
        events.emit("task", name="explain")
        evidence, typicality = self._explained(metrics)
        save_state(folder / EVIDENCE, evidence.state_dict())
        save_state(folder / TYPICALITY, typicality.state_dict())
        metrics["cost"] = self._cost()
        config = {"contract": self._contract(names, calibration), "recipe": dict(self.recipe)}
        write_json(folder / CONFIG, config)
        write_json(folder / METRICS, metrics)
        events.emit("task", name="report")
        logits, labels = predictions["test"]
        report = self._report(metrics, config, evidence, calibration.probabilities(logits), labels.numpy())
        write_report(folder / REPORT, report)
        plot_summary(folder / SUMMARY, report)
        if self.recipe["export"] is not None:
            events.emit("task", name="export")
            from MonaiSKD.export.run import export  # it reads the run folder, so it knows this package

            export(folder, folder / MODEL_FILE, self.recipe["export"])

    def _explained(self, metrics: dict[str, Any]) -> tuple[Evidence, Typicality]:
        """Fit heat maps and typicality; note how faithful the maps are, and which share lies beyond the limit."""
        seed, device = self.recipe["seed"], self.device
        training = self.training.images()
        images = {split: loader.dataset.images() for split, loader in self.loaders.items()}
        evidence = fit_evidence(self.network, training, device, seed)
        typicality = fit_typicality(self.network, training, images["val"], self.modality, device, seed)
        for split, held_out in images.items():
            beyond = measure_atypicality(self.network, typicality, held_out, device) > LIMIT
            metrics[split]["atypical_share"] = float(beyond.double().mean())
            metrics[split]["heatmap_r2"] = occlusion_r2(self.network, evidence, held_out, device)
        return evidence, typicality

    def _cost(self) -> dict[str, Any]:
        seconds = {stage.name: stage.means.seconds for stage in self.stages}
        size = self.network.image_size
        self.network.eval()
        example = torch.zeros(1, 1, size, size, device=self.device)
        return {
            "parameters": count_parameters(self.network),
            "teacher_parameters": count_parameters(self.teacher.module),
            "multiply_adds": multiply_adds(self.network, example),
            "seconds": {**seconds, "all": sum(seconds.values())},
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "device": str(self.device),
        }

    def _contract(self, names: list[str], calibration: Calibration) -> dict[str, Any]:
        """What must be known to use the weights rightly; it becomes the model file's metadata."""
        return {
            **self.model,
            "title": self.title,
            "modality": self.modality,
            "class_names": names,
            "student": self.recipe["student"],
            "image_size": self.network.image_size,
            "temperature": calibration.temperature,
            "sensitivity": self.recipe["sensitivity"],
            "thresholds": dict(zip(names, calibration.thresholds, strict=True)),
            "teacher": {"name": self.teacher.name, "source": self.teacher.source, "licence": self.teacher.licence},
            "kept": kept(self.stages),
            "training_data_sha256": self._data_sha256,
            "plans": [plan.digest() for plan in self.initialised.plans],
            "versions": {
                "MonaiSKD": MonaiSKD.__version__,
                **{name: metadata.version(name) for name in ("torch", "monai", "pytorch-ignite", "timm", "numpy")},
            },
            "intended_use": "research; not for clinical use",
        }

    def _report(
        self,
        metrics: Mapping[str, Any],
        config: Mapping[str, Any],
        evidence: Evidence,
        probabilities: np.ndarray[Any, np.dtype[np.float64]],
        labels: np.ndarray[Any, np.dtype[np.int64]],
    ) -> ReportData:
        contract, cost = config["contract"], metrics["cost"]
        # The test set is sorted by class.
        spread = np.linspace(0, len(labels) - 1, min(6, len(labels))).round().astype(int)
        wrong = np.flatnonzero(probabilities.argmax(1) != labels)
        worst = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:6]
        return ReportData(
            title=self.title,
            modality=self.modality,
            class_names=contract["class_names"],
            counts={split: self.datalist.class_counts(split) for split in SPLITS},
            metrics={split: metrics[split] for split in self.loaders},
            probabilities=probabilities.astype(np.float64),
            labels=labels,
            curves=curves(self.stages),
            examples=self._examples(spread, evidence, probabilities, labels),
            errors=self._examples(worst, evidence, probabilities, labels),
            sensitivity=contract["sensitivity"],
            facts={
                "student": f"{contract['student']}, {cost['parameters'] / 1e6:.2f} M parameters, "
                f"{cost['multiply_adds'] / 1e6:.0f} M multiply-adds",
                "teacher": f"{self.teacher.name}, {cost['teacher_parameters'] / 1e6:.2f} M parameters",
                "teacher's weights": f"{self.teacher.source}; licence {self.teacher.licence}",
                "seed": self.recipe["seed"],
                "training": f"{cost['seconds']['all']:.0f} s on {cost['device']}",
                "temperature": f"{contract['temperature']:.3f}",
                **contract["versions"],
            },
            config=config,
        )

    @torch.no_grad()
    def _examples(
        self,
        chosen: np.ndarray[Any, np.dtype[np.int64]],
        evidence: Evidence,
        probabilities: np.ndarray[Any, np.dtype[np.float64]],
        labels: np.ndarray[Any, np.dtype[np.int64]],
    ) -> list[Example]:
        """Test images with the evidence for the predicted class."""
        examples = []
        for i in chosen:
            image = torch.as_tensor(self.loaders["test"].dataset[int(i)]["image"])
            maps = evidence(feature_maps(self.network, image[None].to(self.device)).float().cpu())
            heat = maps[0, int(probabilities[i].argmax())].numpy()
            examples.append(Example(image.numpy(), int(labels[i]), probabilities[i], heat))
        return examples
