"""One step of training: the discriminator learns from a fresh prediction, then the generator from the discriminator.

Zeng, Fu, Chao, ECCV 2020, arXiv:2007.10247, section 3.3, in the order of the published program.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.sttn import Sttn
from training.average import Average
from training.config import Config, Phase
from training.distributed import World
from training.forcing import blocks_forced, forced
from training.growth import first_blocks
from training.guidance import Guide, share_of_holes
from training.losses import adversarial, composite, reconstruction
from training.networks import make_discriminator, make_generator, make_teacher
from training.optimisers import METHODS, Adam
from training.precision import autocast
from training.sample import Batch
from training.state import State

# of a step, in this order
LOSSES = ("hole", "valid", "adversarial", "discriminator", "distillation", "guidance", "gradient")


class Trainer:
    """Both networks, their optimisers and the average, for the samples of one phase."""

    def __init__(self, config: Config, phase: Phase, world: World, state: State) -> None:
        self.config, self.phase, self.world = config, phase, world
        self.done = state.step
        optimiser = config.optimiser
        betas = (optimiser.beta1, optimiser.beta2)
        self.generator = self._placed(make_generator(config.model, phase.size, phase.patches), state.generator)
        self.optimiser = METHODS[optimiser.method](self.generator, optimiser.rate, betas, state.generator_optimiser)
        self.average = Average(self.generator, optimiser.average)
        self.average.load(state.average)
        computed, self.guide = self.generator, None
        if isinstance(computed, Sttn):
            self.guide = Guide(computed) if config.objective.guidance else None
            computed = first_blocks(computed, phase.blocks) if phase.blocks else computed
        self.predict = self._shared(computed)
        self.game = adversarial(config.objective.game)
        self.discriminator = make_discriminator(config.objective, config.seed)
        if self.discriminator is not None:
            self._placed(self.discriminator, state.discriminator)
            self.critic_optimiser = Adam(self.discriminator, optimiser.rate, betas, state.discriminator_optimiser)
            self.criticise = self._shared(self.discriminator)
        self.teacher = make_teacher(config, phase.size, phase.patches)
        if self.teacher is not None:
            self._placed(self.teacher, None)

    def step(self, batch: Batch, rate: float) -> Tensor:
        """Learn from this process's share of a batch at learning rate `rate`; returns `LOSSES`, `[7]`, on the device.

        What counts nothing or is not made is 0 there; `gradient` is the norm of the generator's, before it is limited.
        """
        frames, masks = batch.on(self.world.device)
        with self._forced(frames, masks):
            prediction = self._predicted(self.predict, frames, masks)
        whole = composite(prediction, frames, masks)
        criticism = self._teach_critic(frames, whole.detach(), rate)
        losses = self._losses(prediction, whole, frames, masks)
        objective = self.config.objective
        weights = (
            objective.hole,
            objective.valid,
            objective.adversarial,
            objective.distillation,
            objective.guidance,
        )
        total = torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum()
        self.optimiser.zero_grad()
        total.backward()
        limit = self.config.optimiser.clip or float("inf")
        norm = nn.utils.clip_grad_norm_(self.generator.parameters(), limit)
        self.optimiser.set_rate(rate)
        self.optimiser.step()
        self.average.update(self.generator, self.done)
        self.done += 1
        hole, valid, persuasion, distillation, guidance = losses
        return torch.stack([hole, valid, persuasion, criticism, distillation, guidance, norm]).detach()

    def state(self) -> State:
        """What the next step depends on, still on the device and not copied: use it before that step."""
        critic = self.discriminator
        return State(
            step=self.done,
            generator=self.generator.state_dict(),
            average=self.average.state,
            discriminator=None if critic is None else critic.state_dict(),
            generator_optimiser=self.optimiser.state_dict(),
            discriminator_optimiser=None if critic is None else self.critic_optimiser.state_dict(),
        )

    def _teach_critic(self, frames: Tensor, whole: Tensor, rate: float) -> Tensor:
        """The discriminator's own step; `[B, T, 3, H, W]` both."""
        if self.discriminator is None:
            return frames.new_zeros(())
        with autocast(self.config.speed, self.world.device):
            real, fake = (self.criticise(clips.transpose(1, 2)) for clips in (frames, whole))
        loss = self.game.discriminator(real.float(), fake.float())
        self.critic_optimiser.zero_grad()
        loss.backward()
        self.critic_optimiser.set_rate(rate)
        self.critic_optimiser.step()
        return loss.detach()

    def _losses(self, prediction: Tensor, whole: Tensor, frames: Tensor, masks: Tensor) -> list[Tensor]:
        """What the generator minimises, unweighted: hole, valid, adversarial, distillation, guidance."""
        share = self.world.mean(masks.mean())  # of all processes' holes, so that they learn what one process would
        objective = self.config.objective
        squared, moved = objective.squared, objective.seamless
        close = reconstruction(prediction, frames, masks, share, squared=squared, moved=moved)
        persuasion = distillation = frames.new_zeros(())
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)  # it passes gradients on, and needs none of its own
            with autocast(self.config.speed, self.world.device):
                scores = self.discriminator(whole.transpose(1, 2))
            self.discriminator.requires_grad_(True)
            persuasion = self.game.generator(scores.float())
        if self.teacher is not None:
            with torch.no_grad():
                wanted = self._predicted(self.teacher, frames, masks)
            distillation = reconstruction(prediction, wanted, masks, share).hole
        guidance = frames.new_zeros(())
        if self.guide is not None:
            guidance = self.guide.loss(frames, masks, self.world.mean(share_of_holes(masks)))
        return [close.hole, close.valid, persuasion, distillation, guidance]

    def _forced(self, frames: Tensor, masks: Tensor) -> AbstractContextManager[None]:
        """While it is open, attention is forced where this step asks for that."""
        if not self.phase.forcing or not isinstance(self.generator, Sttn):
            return nullcontext()
        blocks = self.phase.blocks or self.generator.geometry.blocks
        count = blocks_forced(self.phase.forcing, blocks, self.config.seed, self.done)
        return forced(self.generator, count, frames, masks)

    def _predicted(self, network: Callable[[Tensor, Tensor], Tensor], frames: Tensor, masks: Tensor) -> Tensor:
        """What the network makes of the clips with their holes blanked, float32 `[B, T, 3, H, W]`."""
        with autocast(self.config.speed, self.world.device):
            return network(frames * (1 - masks), masks).float().view_as(frames)

    def _placed(self, network: nn.Module, state: dict[str, Tensor] | None) -> nn.Module:
        """The network with its state, on the device, in the memory format asked for."""
        if state is not None:
            network.load_state_dict(state)
        network.to(self.world.device)
        if self.config.speed.channels_last:
            for parameter in network.parameters():
                if parameter.ndim == 4:  # not those of the discriminator, whose convolutions are in time too
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return network

    def _shared(self, network: nn.Module) -> Callable[..., Tensor]:
        """The network as it is called in training: with gradients averaged over all processes, compiled if asked."""
        called = network
        if self.world.size > 1:
            # Buffers are spectral norms' vectors, which follow from the weights: equal everywhere without sending.
            called = DistributedDataParallel(network, forward_sync_buffers=False)
        if self.config.speed.compile:
            compiled: Any = torch.compile(called, dynamic=False)
            return cast("Callable[..., Tensor]", compiled)
        return called
