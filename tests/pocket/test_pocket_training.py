"""The training loop resumes exactly; losses and labels do what they say."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, mse_loss
from typer.testing import CliRunner

from fairshards.pocket import train as commands
from fairshards.pocket.networks import export
from fairshards.pocket.networks.models import new_scheduler, new_vae
from fairshards.pocket.networks.oracle import Oracle, load_oracle, save_oracle
from fairshards.pocket.scenes import pictures
from fairshards.pocket.scenes.pictures import to_bytes, to_unit, training_images, training_scenes
from fairshards.pocket.training.loop import Schedule, Training, step_generator
from fairshards.pocket.training.train_clip import contrastive_loss
from fairshards.pocket.training.train_diffusion import Denoiser, DiffusionData, tokenize, v_loss
from fairshards.pocket.training.train_oracle import augment, labels_of
from fairshards.pocket.training.train_vae import Autoencode, set_scaling

SCHEDULE = Schedule(6, rate=1e-2, warmup=2, save_seconds=1e9)


def noisy_loss(model: nn.Module, generator: torch.Generator) -> Tensor:
    inputs = torch.randn(4, 3, generator=generator)
    return mse_loss(dropout(model(inputs), 0.5), inputs)


def data_loss(model: nn.Module, data: DiffusionData, generator: torch.Generator) -> Tensor:
    return v_loss(model, *data.draw(2, generator), generator)


def run(folder: Path, stops: list[int]) -> dict[str, Tensor]:
    for stop in stops:
        torch.manual_seed(0)
        training = Training(
            "tiny",
            nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)),
            SCHEDULE,
            folder,
            folder / "tiny.csv",
        )
        ema = training.run(partial(noisy_loss, training.model), until=stop)
    return training.model.state_dict() | {f"ema.{name}": value for name, value in ema.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_three_steps_and_three_more_are_six(tmp_path: Path) -> None:
    assert same(run(tmp_path / "whole", [6]), run(tmp_path / "parts", [3, 6]))


def test_denoiser_resumes_exactly(tmp_path: Path) -> None:
    from fairshards.pocket.networks.tokenizer import new_tokenizer

    tokenizer = new_tokenizer()
    tokens = tokenize(["a waterbird on water"] * 10, tokenizer).view(2, 5, -1)
    data = DiffusionData(torch.randn(2, 2, 4, 16, 16), tokens, tokenize([""], tokenizer))

    def steps(folder: Path, stops: list[int]) -> dict[str, Tensor]:
        for stop in stops:
            torch.manual_seed(0)
            schedule = Schedule(4, rate=1e-3, warmup=1, save_seconds=1e9)
            training = Training("tiny", Denoiser(tokenizer), schedule, folder, folder / "log.csv")
            training.run(partial(data_loss, training.model, data), until=stop)
        return training.model.state_dict()

    assert same(steps(tmp_path / "whole", [2]), steps(tmp_path / "parts", [1, 2]))


def test_a_loss_that_is_not_finite_stops_training(tmp_path: Path) -> None:
    training = Training("nan", nn.Linear(1, 1), SCHEDULE, tmp_path, tmp_path / "log.csv")
    with pytest.raises(FloatingPointError, match="step 0"):
        training.run(lambda generator: training.model(torch.tensor([torch.nan])).sum())


def test_schedule_warms_up_and_decays() -> None:
    schedule = Schedule(100, rate=1.0, warmup=10)
    assert schedule.rate_at(0) == pytest.approx(0.1) and schedule.rate_at(10) > 0.9
    assert schedule.rate_at(100) == pytest.approx(0) and schedule.rate_at(50) == pytest.approx(0.5)
    longer = Schedule(160, rate=1.0, warmup=10, second=60)
    assert all(longer.rate_at(step) == schedule.rate_at(step) for step in range(100))
    assert longer.rate_at(100) == pytest.approx(0.05) and longer.rate_at(130) == pytest.approx(0.25)
    assert longer.rate_at(160) == pytest.approx(0)


def test_steps_have_their_own_randomness() -> None:
    draws = [torch.rand(1, generator=step_generator(name, step)).item() for name in ("a", "b") for step in (0, 1)]
    assert len(set(draws)) == 4


def test_cached_pictures_match_their_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "CHUNK", 6)
    first, again = (training_images("oracle", 8, tmp_path) for _ in range(2))
    assert first.shape == (8, 3, 64, 64) and torch.equal(first, again)
    assert labels_of("oracle", 4).tolist() == [[s.label, s.place] for s in training_scenes("oracle", 4)]
    assert torch.equal(to_bytes(to_unit(first)), first)


def test_scheduler_ends_in_pure_noise() -> None:
    assert new_scheduler().alphas_cumprod[-1] == pytest.approx(0, abs=1e-6)


def test_scaling_factor_gives_unit_latents() -> None:
    torch.manual_seed(0)
    vae, images = new_vae(), torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    set_scaling(vae, images)
    with torch.no_grad():
        latents = vae.encode(to_unit(images)).latent_dist.mean * vae.config.scaling_factor
    assert latents.std().item() == pytest.approx(1, abs=1e-3)


def test_autoencoder_loss_reaches_all_weights() -> None:
    model = Autoencode(new_vae())
    model(torch.randn(1, 3, 64, 64), torch.randn(1, 4, 16, 16)).backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_equal_captions_are_no_negatives() -> None:
    logits = torch.tensor([[5.0, 5.0], [5.0, 5.0]])
    alone, shared = torch.eye(2, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool)
    assert contrastive_loss(logits, alone).item() == pytest.approx(0.6931, abs=1e-3)
    assert contrastive_loss(logits, shared).item() == pytest.approx(0, abs=1e-3)


def test_augmentation_keeps_shape_and_is_seeded() -> None:
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    first, again = (augment(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == images.shape and torch.equal(first, again) and not torch.equal(first, images)


def test_oracle_is_saved_in_float16_and_loads(tmp_path: Path) -> None:
    model = Oracle().eval()
    save_oracle(model, tmp_path)
    images = torch.randn(2, 3, 64, 64)
    assert torch.allclose(load_oracle(tmp_path)(images), model(images), atol=1e-2)


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of checkpoints of its own, for what replaces them."""
    for module in (export, commands):
        monkeypatch.setattr(module, "checkpoint_path", lambda name: tmp_path / name)
    return tmp_path


def write(text: str, folder: Path) -> None:
    (folder / "weights").write_text(text)


def test_a_new_checkpoint_takes_the_place_of_the_old(checkpoints: Path) -> None:
    for text in ("one", "two"):
        assert export.swap_in("oracle", partial(write, text)) == checkpoints / "oracle"
        assert (checkpoints / "oracle" / "weights").read_text() == text
        assert [path.name for path in checkpoints.iterdir()] == ["oracle"]


@pytest.mark.parametrize("killed_before", ["rename", "rmtree"])
def test_an_export_after_a_killed_one_goes_through(killed_before: str, checkpoints: Path) -> None:
    export.swap_in("oracle", partial(write, "one"))
    (checkpoints / "oracle").rename(checkpoints / ".oracle.old")
    if killed_before == "rmtree":
        export.swap_in("clip", partial(write, "two")).rename(checkpoints / "oracle")
    for text in ("three", "four"):
        export.swap_in("oracle", partial(write, text))
    assert (checkpoints / "oracle" / "weights").read_text() == "four"
    assert [path.name for path in checkpoints.iterdir()] == ["oracle"]


def test_an_export_that_fails_leaves_the_old_checkpoint(checkpoints: Path) -> None:
    export.swap_in("oracle", partial(write, "one"))
    with pytest.raises(IsADirectoryError):
        export.swap_in("oracle", lambda folder: folder.write_text("no file"))  # type: ignore[arg-type, return-value]
    assert (checkpoints / "oracle" / "weights").read_text() == "one"


def test_random_weights_replace_trained_ones_only_by_force(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exports: list[int] = []
    monkeypatch.setattr(export, "export_untrained", lambda: exports.append(1))
    assert CliRunner().invoke(commands.app, ["untrained"]).exit_code == 0 and len(exports) == 1
    (checkpoints / "pocket-clip").mkdir()
    refused = CliRunner().invoke(commands.app, ["untrained"])
    assert refused.exit_code == 1 and len(exports) == 1
    assert "pocket-clip would lose trained weights: give --force" in refused.stderr
    assert CliRunner().invoke(commands.app, ["untrained", "--force"]).exit_code == 0 and len(exports) == 2


def test_untrained_checkpoints_have_the_final_files(checkpoints: Path) -> None:
    export.export_untrained()
    assert {path.name for path in checkpoints.iterdir()} == {"pocket-diffusion", "pocket-clip"}
    assert (checkpoints / "pocket-diffusion" / "unet" / "diffusion_pytorch_model.safetensors").is_file()
