"""The adversarial part: a residual generator over the core's windows, and two critics.

The generator adds to the linear core what the core lacks; its last layer starts at zero, so that
training starts at the core and not at noise. One critic sees windows, the other their differences.

Source: Gulrajani et al. (2017), WGAN-GP; DoppelGANger (Lin et al. 2020) for the auxiliary critic.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.core.columns import CELLS_PER_UNIT, GRID_LIMIT, GRID_SIZE

#: Steps to either side that an output row sees: kernel 5 with dilations 1, 2 and 4.
DILATIONS = (1, 2, 4)
KERNEL = 5
HALO = sum(DILATIONS) * (KERNEL - 1) // 2


class Convolution(tf.Module):
    """A 1-D convolution over time.

    Args:
      inputs: Channels in.
      units: Channels out.
      seed: Of the initial weights (He), or None for zeros.
      kernel: Steps.
      dilation: Distance between the kernel's steps.
      stride: Steps between outputs.
      padding: `SAME` or `VALID`.
      name: Of the variables.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        seed: int | None,
        kernel: int = KERNEL,
        dilation: int = 1,
        stride: int = 1,
        padding: str = "SAME",
        name: str = "convolution",
    ) -> None:
        super().__init__(name=name)
        shape = [kernel, inputs, units]
        start = tf.zeros(shape)
        if seed is not None:
            scale = math.sqrt(2.0 / (kernel * inputs))
            start = scale * tf.random.stateless_normal(shape, [seed, 17])
        self.weights = tf.Variable(start, name="weights")
        self.bias = tf.Variable(tf.zeros([units]), name="bias")
        self.dilation, self.stride, self.padding = dilation, stride, padding

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, time, inputs] to [batch, time', units]."""
        y = tf.nn.conv1d(x, self.weights, stride=self.stride, padding=self.padding, dilations=self.dilation)
        return y + self.bias


class Generator(tf.Module):
    """Residual generator: [scores, condition, noise] to a correction of the scores.

    Args:
      features: F.
      condition: Q, channels of the condition.
      units: Hidden channels.
      noise_channels: Noise inputs per row.
      seed: Of the initial weights.
    """

    def __init__(self, features: int, condition: int, units: int, noise_channels: int, seed: int) -> None:
        super().__init__(name="generator")
        self.noise_channels = noise_channels
        self.inner = []
        width = features + condition + noise_channels
        for index, dilation in enumerate(DILATIONS):
            self.inner.append(Convolution(width, units, seed + index, dilation=dilation, name=f"conv{index}"))
            width = units
        self.last = Convolution(units, features, None, kernel=1, name="last")

    def __call__(self, scores: tf.Tensor, condition: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Correction of the scores. Shape [S, T, F]; time's ends are padded with zeros."""
        x = tf.concat([scores, condition, noise], axis=-1)
        for index, layer in enumerate(self.inner):
            y = tf.nn.leaky_relu(layer(x))
            x = y if index == 0 else x + y
        # At most one standard deviation: the residual refines the core, it does not replace it.
        return tf.tanh(self.last(x))

    def keep_to(self, moved: np.ndarray) -> None:
        """Other features than these are moved no more, until the next training step. Shape [F], bool."""
        for variable in (self.last.weights, self.last.bias):
            variable.assign(variable * moved.astype(np.float32))


class Critic(tf.Module):
    """Scores a window; higher is more real. No batch statistics, as the gradient penalty asks.

    Args:
      inputs: Channels of a window.
      units: Hidden channels.
      seed: Of the initial weights.
    """

    def __init__(self, inputs: int, units: int, seed: int) -> None:
        super().__init__(name="critic")
        self.layers = [
            Convolution(inputs, units, seed, stride=1, name="conv0"),
            Convolution(units, units, seed + 1, stride=2, name="conv1"),
            Convolution(units, units, seed + 2, stride=2, name="conv2"),
        ]
        self.last = Convolution(units, 1, seed + 3, kernel=1, name="last")

    def __call__(self, window: tf.Tensor) -> tf.Tensor:
        """Shape [batch, time, inputs] to [batch]."""
        for layer in self.layers:
            window = tf.nn.leaky_relu(layer(window))
        return tf.reduce_mean(self.last(window), axis=[1, 2])


def on_atoms(z: tf.Tensor, middles: tf.Tensor) -> tf.Tensor:
    """The scores of the values that latent values decode to: each at its nearest point of the latent grid.

    Args:
      z: Latent values. Shape [..., F].
      middles: The score of the value that each point of the latent grid decodes to. Shape [F, GRID_SIZE].

    Returns:
      Scores. Shape [..., F].
    """
    position = tf.clip_by_value((z + GRID_LIMIT) * CELLS_PER_UNIT, 0.0, float(GRID_SIZE - 1))
    cell = tf.cast(tf.round(position), tf.int32) + tf.range(tf.shape(middles)[0]) * GRID_SIZE
    return tf.gather(tf.reshape(middles, [-1]), cell)


def shown(z: tf.Tensor, held: tf.Tensor, middles: tf.Tensor, holds: bool, steps: int) -> tf.Tensor:
    """Latent windows as real ones look: on the atoms, with holds.

    Args:
      z: Latent values. Shape [n, steps, F].
      held: Rows that repeat the row before. Shape [n, steps, F], bool.
      middles: As for `on_atoms`.
      holds: Whether any feature repeats its values.
      steps: Rows of a window.

    Returns:
      Shape [n, steps, F].
    """
    # Straight through: values on a lattice step, gradients do not.
    z = z + tf.stop_gradient(on_atoms(z, middles) - z)
    if not holds:
        return z
    last = tf.where(held, 0, tf.range(steps)[None, :, None])
    # Running maximum: the last row that did not hold.
    span = 1
    while span < steps:
        last = tf.maximum(last, tf.pad(last, [[0, 0], [span, 0], [0, 0]])[:, :-span])
        span *= 2
    turned = tf.gather(tf.transpose(z, [0, 2, 1]), tf.transpose(last, [0, 2, 1]), batch_dims=2)
    return tf.transpose(turned, [0, 2, 1])
