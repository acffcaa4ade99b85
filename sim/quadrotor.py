"""A quadrotor as one rigid body in PyBullet. Quaternions are wxyz here and xyzw only inside.

PyBullet damps linear and angular velocity and clips velocities unless told otherwise; both are off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from haltere.sim.physics import Physics
from haltere.sim.state import State
from haltere.sim.vehicle import Vehicle

Array = npt.NDArray[np.float64]

_BASE = -1
_UNCLIPPED = 1e6


class Quadrotor:
    """The rigid body; forces on it last for one physics step.

    A load is a point mass fixed `below_m` under the vehicle's centre of mass. The body in PyBullet is then
    the two together, about their common centre of mass; `state` always speaks of the vehicle's own.
    """

    def __init__(self, client: Physics, vehicle: Vehicle) -> None:
        """Args:
        client: the physics.
        vehicle: mass, inertia and rotors.
        """
        self._client = client
        self._vehicle = vehicle
        reach = np.abs(vehicle.rotor_position_m[:, :2]).max(axis=0)
        height = 0.25 * float(reach.max())
        shape = client.createCollisionShape(
            client.GEOM_BOX, halfExtents=[float(reach[0]), float(reach[1]), 0.5 * height]
        )
        self.body = client.createMultiBody(baseMass=vehicle.mass_kg, baseCollisionShapeIndex=shape)
        self.half_height_m = 0.5 * height
        self.mass_kg = vehicle.mass_kg
        self.inertia_kg_m2: Array = vehicle.inertia_kg_m2
        self._centre: Array = np.zeros(3)
        self.set_load(0.0, 0.0)

    def set_load(self, mass_kg: float, below_m: float) -> None:
        """Fixes a load, or with 0 kg drops it; the vehicle's own motion goes on unchanged.

        Args:
          mass_kg: mass of the load, kg.
          below_m: how far under the vehicle's centre of mass it sits, m.
        """
        before = self.state(0.0, np.zeros(4)) if self._centre.any() else None
        vehicle = self._vehicle
        self.mass_kg = vehicle.mass_kg + mass_kg
        self._centre = np.array([0.0, 0.0, -below_m * mass_kg / self.mass_kg])
        about_centre = vehicle.mass_kg * mass_kg / self.mass_kg * below_m**2
        self.inertia_kg_m2 = vehicle.inertia_kg_m2 + np.array([about_centre, about_centre, 0.0])
        self._client.changeDynamics(
            self.body,
            _BASE,
            mass=self.mass_kg,
            localInertiaDiagonal=self.inertia_kg_m2.tolist(),
            linearDamping=0.0,
            angularDamping=0.0,
            maxJointVelocity=_UNCLIPPED,
            lateralFriction=0.6,
            restitution=0.1,
            activationState=self._client.ACTIVATION_STATE_DISABLE_SLEEPING,
        )
        if before is not None:
            self.place(before)

    def place(self, state: State) -> None:
        """Puts the vehicle into a state; time and rotor speeds are not the body's and are left out."""
        w, x, y, z = (float(q) for q in state.quat_wxyz)
        rotation = _rotation((x, y, z, w))
        offset = rotation @ self._centre
        spin = rotation @ state.angular_velocity_body_rad_s
        self._client.resetBasePositionAndOrientation(
            self.body, (state.position_world_m + offset).tolist(), (x, y, z, w)
        )
        velocity = state.velocity_world_m_s + np.cross(spin, offset)
        self._client.resetBaseVelocity(self.body, velocity.tolist(), spin.tolist())

    def state(self, time_s: float, rotor_speed: Array) -> State:
        """Reads the state.

        Args:
          time_s: time to write into it, s.
          rotor_speed: (4,) to write into it.
        """
        position, xyzw = self._client.getBasePositionAndOrientation(self.body)
        velocity, spin = self._client.getBaseVelocity(self.body)
        rotation = _rotation(xyzw)
        offset = rotation @ self._centre
        return State(
            time_s=time_s,
            position_world_m=np.array(position) - offset,
            quat_wxyz=np.array([xyzw[3], xyzw[0], xyzw[1], xyzw[2]]),
            velocity_world_m_s=np.array(velocity) - np.cross(spin, offset),
            angular_velocity_body_rad_s=rotation.T @ np.array(spin),
            rotor_speed=rotor_speed.copy(),
        )

    def kinematics(self) -> tuple[Array, Array, Array]:
        """Reads centre of mass (3,) m, rotation body to world (3, 3), velocity of that centre (3,) m/s."""
        position, xyzw = self._client.getBasePositionAndOrientation(self.body)
        velocity, _ = self._client.getBaseVelocity(self.body)
        return np.array(position), _rotation(xyzw), np.array(velocity)

    def rotor_position(self) -> Array:
        """Returns the rotor hubs (4, 3) from the common centre of mass, body axes, m."""
        return self._vehicle.rotor_position_m - self._centre

    def push_rotors(self, thrust_n: Array, torque_n_m: float) -> None:
        """Applies each rotor's thrust at its hub along body z, and the sum of the reaction torques.

        Args:
          thrust_n: (4,), N.
          torque_n_m: about body z, N m.
        """
        for thrust, hub in zip(thrust_n.tolist(), self.rotor_position().tolist(), strict=True):
            self._client.applyExternalForce(self.body, _BASE, (0.0, 0.0, thrust), hub, self._client.LINK_FRAME)
        self._client.applyExternalTorque(self.body, _BASE, (0.0, 0.0, torque_n_m), self._client.LINK_FRAME)

    def push(self, force_body_n: Array, at_body_m: Array | None = None) -> None:
        """Applies a force.

        Args:
          force_body_n: (3,) body axes, N.
          at_body_m: (3,) where, from the vehicle's own centre of mass, body axes, m; default there.
        """
        at = (np.zeros(3) if at_body_m is None else at_body_m) - self._centre
        self._client.applyExternalForce(self.body, _BASE, force_body_n.tolist(), at.tolist(), self._client.LINK_FRAME)


def _rotation(xyzw: tuple[float, float, float, float]) -> Array:
    x, y, z, w = xyzw
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
