/* The link's messages. Generated from schema.toml by `link.generate`; do not edit. */
#ifndef HALTERE_MESSAGES_H
#define HALTERE_MESSAGES_H

#include <stdint.h>
#include <string.h>

/** Protocol version: the first 32 bits of SHA-256 of the schema. */
#define HALTERE_SCHEMA_HASH 0x47BF0CF3u

#define HALTERE_FRAME_HEADER_SIZE 6u
#define HALTERE_FRAME_CRC_SIZE 4u
/** Bytes of the longest payload. */
#define HALTERE_MAX_PAYLOAD_SIZE 72u
/** Bytes of the longest frame on the wire, delimiter included. */
#define HALTERE_MAX_WIRE_SIZE 84u

/** Which end of the link speaks. */
enum haltere_role {
    HALTERE_ROLE_FLIGHT_CONTROLLER = 0,
    HALTERE_ROLE_RUNTIME = 1,
};

/** Who computed the action: the reflex, the deliberate system, or the safety fallback. */
enum haltere_mode {
    HALTERE_MODE_FAST = 0,
    HALTERE_MODE_SLOW = 1,
    HALTERE_MODE_SAFE = 2,
};

/** Life cycle of one end. */
enum haltere_life_cycle {
    HALTERE_LIFE_CYCLE_BOOT = 0,
    HALTERE_LIFE_CYCLE_SELF_TEST = 1,
    HALTERE_LIFE_CYCLE_STANDBY = 2,
    HALTERE_LIFE_CYCLE_ACTIVE = 3,
    HALTERE_LIFE_CYCLE_FAULT = 4,
};

/** What was wrong while an action was computed; 0 is nothing. */
enum haltere_status_flag {
    HALTERE_STATUS_FLAG_STALE_STATE = 0x0001,
    HALTERE_STATUS_FLAG_NONFINITE_STATE = 0x0002,
    HALTERE_STATUS_FLAG_STATE_OUT_OF_BOUNDS = 0x0004,
    HALTERE_STATUS_FLAG_NO_SETPOINT = 0x0008,
    HALTERE_STATUS_FLAG_SETPOINT_STALE = 0x0010,
    HALTERE_STATUS_FLAG_ACTION_NONFINITE = 0x0020,
    HALTERE_STATUS_FLAG_ACTION_CLIPPED = 0x0040,
    HALTERE_STATUS_FLAG_DEADLINE_MISSED = 0x0080,
};

/** Why an end refuses or has stopped. */
enum haltere_fault_code {
    HALTERE_FAULT_CODE_NONE = 0,
    HALTERE_FAULT_CODE_VERSION_MISMATCH = 1,
    HALTERE_FAULT_CODE_BUSY = 2,
    HALTERE_FAULT_CODE_SELF_TEST_FAILED = 3,
    HALTERE_FAULT_CODE_BAD_PARAMETER = 4,
    HALTERE_FAULT_CODE_INTERNAL = 5,
};

/** Where the flight controller's motor setpoints came from. */
enum haltere_motor_source {
    HALTERE_MOTOR_SOURCE_POLICY = 0,
    HALTERE_MOTOR_SOURCE_FALLBACK = 1,
    HALTERE_MOTOR_SOURCE_DISARMED = 2,
};

enum haltere_message_id {
    HALTERE_ID_HELLO = 1,
    HALTERE_ID_STATE = 2,
    HALTERE_ID_SETPOINT = 3,
    HALTERE_ID_ACTION = 4,
    HALTERE_ID_HEARTBEAT = 5,
    HALTERE_ID_STATUS = 6,
    HALTERE_ID_PARAMETER_SET = 7,
    HALTERE_ID_PARAMETER_VALUE = 8,
    HALTERE_ID_FAULT = 9,
    HALTERE_ID_LOG = 10,
    HALTERE_ID_MOTORS = 11,
};

#define HALTERE_SIZE_HELLO 35u
#define HALTERE_SIZE_STATE 72u
#define HALTERE_SIZE_SETPOINT 44u
#define HALTERE_SIZE_ACTION 28u
#define HALTERE_SIZE_HEARTBEAT 1u
#define HALTERE_SIZE_STATUS 26u
#define HALTERE_SIZE_PARAMETER_SET 20u
#define HALTERE_SIZE_PARAMETER_VALUE 21u
#define HALTERE_SIZE_FAULT 54u
#define HALTERE_SIZE_LOG 65u
#define HALTERE_SIZE_MOTORS 32u

/** Calls X(name, NAME) for every message. */
/* clang-format off */
#define HALTERE_MESSAGES(X) \
    X(hello, HELLO) \
    X(state, STATE) \
    X(setpoint, SETPOINT) \
    X(action, ACTION) \
    X(heartbeat, HEARTBEAT) \
    X(status, STATUS) \
    X(parameter_set, PARAMETER_SET) \
    X(parameter_value, PARAMETER_VALUE) \
    X(fault, FAULT) \
    X(log, LOG) \
    X(motors, MOTORS)
/* clang-format on */

/** Opens a session. The flight controller repeats it until the runtime answers with its own. */
typedef struct haltere_hello {
    /** protocol version of the sender */
    uint32_t schema_hash;
    /** which end speaks (`Role`) */
    uint8_t role;
    /** changes when the sender restarts */
    uint32_t session_id;
    /** rate of states (flight controller) or of the policy (runtime) (Hz) */
    uint16_t native_rate_hz;
    /** vehicle or policy */
    char name[25];
} haltere_hello;

/** The vehicle's estimated state; each one asks for an action. */
typedef struct haltere_state {
    /** time of validity on the flight controller's clock, wraps (µs) */
    uint32_t valid_us;
    /** position (m, world) */
    float position_world_m[3];
    /** attitude, unit quaternion (1, body → world) */
    float quat_wxyz[4];
    /** velocity (m/s, world) */
    float velocity_world_m_s[3];
    /** angular velocity (rad/s, body) */
    float angular_velocity_body_rad_s[3];
    /** normalised motor setpoints in force, whoever set them: what the policy begins from (1) */
    float motor[4];
} haltere_state;

/** A segment of trajectory: the receiver extrapolates it quadratically from its time of validity. */
typedef struct haltere_setpoint {
    /** time of validity on the flight controller's clock, wraps (µs) */
    uint32_t valid_us;
    /** position (m, world) */
    float position_world_m[3];
    /** velocity (m/s, world) */
    float velocity_world_m_s[3];
    /** acceleration (m/s², world) */
    float acceleration_world_m_s2[3];
    /** heading about world z (rad, world) */
    float yaw_rad;
} haltere_setpoint;

/** The answer to one state. */
typedef struct haltere_action {
    /** frame sequence of the state answered */
    uint8_t state_sequence;
    /** `valid_us` of the state answered (µs) */
    uint32_t state_valid_us;
    /** from reception of that state to this answer (µs) */
    uint32_t age_us;
    /** who computed it (`Mode`) */
    uint8_t mode;
    /** what was wrong (`StatusFlag`) */
    uint16_t status;
    /** normalised motor setpoints in [-1, 1]: front-right, back-right, back-left, front-left (1) */
    float motor[4];
} haltere_action;

/** The sender is alive. */
typedef struct haltere_heartbeat {
    /** life cycle of the sender (`LifeCycle`) */
    uint8_t life_cycle;
} haltere_heartbeat;

/** Telemetry of the runtime, since its session began. */
typedef struct haltere_status {
    /** life cycle of the runtime (`LifeCycle`) */
    uint8_t life_cycle;
    /** present mode (`Mode`) */
    uint8_t mode;
    /** states received */
    uint32_t states_received;
    /** actions sent */
    uint32_t actions_sent;
    /** bad frames received */
    uint32_t frames_dropped;
    /** median time of one inference (µs) */
    float inference_p50_us;
    /** 99th percentile (µs) */
    float inference_p99_us;
    /** worst (µs) */
    float inference_max_us;
} haltere_status;

/** Asks for a parameter to be changed; answered by `parameter_value`. */
typedef struct haltere_parameter_set {
    /** name of the parameter */
    char name[17];
    /** value asked */
    float value;
} haltere_parameter_set;

/** The value that a parameter has now. */
typedef struct haltere_parameter_value {
    /** name of the parameter */
    char name[17];
    /** value in force */
    float value;
    /** 1: the value asked was taken; 0: it was refused */
    uint8_t accepted;
} haltere_parameter_value;

/** The sender refuses or has stopped. */
typedef struct haltere_fault {
    /** why (`FaultCode`) */
    uint16_t code;
    /** number that belongs to the code (version mismatch: the sender's hash) */
    uint32_t detail;
    /** why, in words */
    char text[49];
} haltere_fault;

/** A line for people. */
typedef struct haltere_log {
    /** severity as in Python's `logging`: 10 debug to 50 critical */
    uint8_t level;
    /** the line */
    char text[65];
} haltere_log;

/** What the flight controller gives to the motors. Never sent to the runtime. */
typedef struct haltere_motors {
    /** `valid_us` of the state it is based on (µs) */
    uint32_t state_valid_us;
    /** normalised motor setpoints in [-1, 1]: front-right, back-right, back-left, front-left (1) */
    float motor[4];
    /** policy or fallback (`MotorSource`) */
    uint8_t source;
    /** mode of the action; SAFE for the fallback (`Mode`) */
    uint8_t mode;
    /** status of the newest action (`StatusFlag`) */
    uint16_t status;
    /** wall clock, from writing the state to decoding its action; 0: none (µs) */
    uint32_t round_trip_us;
    /** bad frames received from the runtime */
    uint32_t frames_dropped;
} haltere_motors;

/** Returns the payload size of a message, or -1 if the id is unknown. */
static inline int haltere_payload_size(uint8_t id)
{
    switch (id) {
    case HALTERE_ID_HELLO:
        return HALTERE_SIZE_HELLO;
    case HALTERE_ID_STATE:
        return HALTERE_SIZE_STATE;
    case HALTERE_ID_SETPOINT:
        return HALTERE_SIZE_SETPOINT;
    case HALTERE_ID_ACTION:
        return HALTERE_SIZE_ACTION;
    case HALTERE_ID_HEARTBEAT:
        return HALTERE_SIZE_HEARTBEAT;
    case HALTERE_ID_STATUS:
        return HALTERE_SIZE_STATUS;
    case HALTERE_ID_PARAMETER_SET:
        return HALTERE_SIZE_PARAMETER_SET;
    case HALTERE_ID_PARAMETER_VALUE:
        return HALTERE_SIZE_PARAMETER_VALUE;
    case HALTERE_ID_FAULT:
        return HALTERE_SIZE_FAULT;
    case HALTERE_ID_LOG:
        return HALTERE_SIZE_LOG;
    case HALTERE_ID_MOTORS:
        return HALTERE_SIZE_MOTORS;
    default:
        return -1;
    }
}

static inline uint8_t *haltere_put_u8(uint8_t *out, uint8_t value)
{
    out[0] = value;
    return out + 1;
}

static inline uint8_t *haltere_put_u16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    return out + 2;
}

static inline uint8_t *haltere_put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 24);
    return out + 4;
}

static inline uint8_t *haltere_put_f32(uint8_t *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return haltere_put_u32(out, bits);
}

/* Text of at most `size` bytes, padded with NUL. */
static inline uint8_t *haltere_put_text(uint8_t *out, const char *text, size_t size)
{
    size_t i = 0;
    for (; i < size && text[i] != '\0'; i++) {
        out[i] = (uint8_t)text[i];
    }
    memset(out + i, 0, size - i);
    return out + size;
}

static inline const uint8_t *haltere_get_u8(const uint8_t *in, uint8_t *value)
{
    *value = in[0];
    return in + 1;
}

static inline const uint8_t *haltere_get_u16(const uint8_t *in, uint16_t *value)
{
    *value = (uint16_t)(in[0] | (in[1] << 8));
    return in + 2;
}

static inline const uint8_t *haltere_get_u32(const uint8_t *in, uint32_t *value)
{
    *value = (uint32_t)in[0] | ((uint32_t)in[1] << 8) | ((uint32_t)in[2] << 16) | ((uint32_t)in[3] << 24);
    return in + 4;
}

static inline const uint8_t *haltere_get_f32(const uint8_t *in, float *value)
{
    uint32_t bits;
    in = haltere_get_u32(in, &bits);
    memcpy(value, &bits, sizeof bits);
    return in;
}

/* `text` has room for `size` bytes and a NUL. */
static inline const uint8_t *haltere_get_text(const uint8_t *in, char *text, size_t size)
{
    memcpy(text, in, size);
    text[size] = '\0';
    return in + size;
}

/** Packs into HALTERE_SIZE_HELLO bytes. */
static inline void haltere_hello_pack(const haltere_hello *message, uint8_t *out)
{
    out = haltere_put_u32(out, message->schema_hash);
    out = haltere_put_u8(out, message->role);
    out = haltere_put_u32(out, message->session_id);
    out = haltere_put_u16(out, message->native_rate_hz);
    haltere_put_text(out, message->name, 24);
}

/** Unpacks HALTERE_SIZE_HELLO bytes. */
static inline void haltere_hello_unpack(haltere_hello *message, const uint8_t *in)
{
    in = haltere_get_u32(in, &message->schema_hash);
    in = haltere_get_u8(in, &message->role);
    in = haltere_get_u32(in, &message->session_id);
    in = haltere_get_u16(in, &message->native_rate_hz);
    haltere_get_text(in, message->name, 24);
}

/** Packs into HALTERE_SIZE_STATE bytes. */
static inline void haltere_state_pack(const haltere_state *message, uint8_t *out)
{
    out = haltere_put_u32(out, message->valid_us);
    for (int i = 0; i < 3; i++) {
        out = haltere_put_f32(out, message->position_world_m[i]);
    }
    for (int i = 0; i < 4; i++) {
        out = haltere_put_f32(out, message->quat_wxyz[i]);
    }
    for (int i = 0; i < 3; i++) {
        out = haltere_put_f32(out, message->velocity_world_m_s[i]);
    }
    for (int i = 0; i < 3; i++) {
        out = haltere_put_f32(out, message->angular_velocity_body_rad_s[i]);
    }
    for (int i = 0; i < 4; i++) {
        out = haltere_put_f32(out, message->motor[i]);
    }
}

/** Unpacks HALTERE_SIZE_STATE bytes. */
static inline void haltere_state_unpack(haltere_state *message, const uint8_t *in)
{
    in = haltere_get_u32(in, &message->valid_us);
    for (int i = 0; i < 3; i++) {
        in = haltere_get_f32(in, &message->position_world_m[i]);
    }
    for (int i = 0; i < 4; i++) {
        in = haltere_get_f32(in, &message->quat_wxyz[i]);
    }
    for (int i = 0; i < 3; i++) {
        in = haltere_get_f32(in, &message->velocity_world_m_s[i]);
    }
    for (int i = 0; i < 3; i++) {
        in = haltere_get_f32(in, &message->angular_velocity_body_rad_s[i]);
    }
    for (int i = 0; i < 4; i++) {
        in = haltere_get_f32(in, &message->motor[i]);
    }
}

/** Packs into HALTERE_SIZE_SETPOINT bytes. */
static inline void haltere_setpoint_pack(const haltere_setpoint *message, uint8_t *out)
{
    out = haltere_put_u32(out, message->valid_us);
    for (int i = 0; i < 3; i++) {
        out = haltere_put_f32(out, message->position_world_m[i]);
    }
    for (int i = 0; i < 3; i++) {
        out = haltere_put_f32(out, message->velocity_world_m_s[i]);
    }
    for (int i = 0; i < 3; i++) {
        out = haltere_put_f32(out, message->acceleration_world_m_s2[i]);
    }
    haltere_put_f32(out, message->yaw_rad);
}

/** Unpacks HALTERE_SIZE_SETPOINT bytes. */
static inline void haltere_setpoint_unpack(haltere_setpoint *message, const uint8_t *in)
{
    in = haltere_get_u32(in, &message->valid_us);
    for (int i = 0; i < 3; i++) {
        in = haltere_get_f32(in, &message->position_world_m[i]);
    }
    for (int i = 0; i < 3; i++) {
        in = haltere_get_f32(in, &message->velocity_world_m_s[i]);
    }
    for (int i = 0; i < 3; i++) {
        in = haltere_get_f32(in, &message->acceleration_world_m_s2[i]);
    }
    haltere_get_f32(in, &message->yaw_rad);
}

/** Packs into HALTERE_SIZE_ACTION bytes. */
static inline void haltere_action_pack(const haltere_action *message, uint8_t *out)
{
    out = haltere_put_u8(out, message->state_sequence);
    out = haltere_put_u32(out, message->state_valid_us);
    out = haltere_put_u32(out, message->age_us);
    out = haltere_put_u8(out, message->mode);
    out = haltere_put_u16(out, message->status);
    for (int i = 0; i < 4; i++) {
        out = haltere_put_f32(out, message->motor[i]);
    }
}

/** Unpacks HALTERE_SIZE_ACTION bytes. */
static inline void haltere_action_unpack(haltere_action *message, const uint8_t *in)
{
    in = haltere_get_u8(in, &message->state_sequence);
    in = haltere_get_u32(in, &message->state_valid_us);
    in = haltere_get_u32(in, &message->age_us);
    in = haltere_get_u8(in, &message->mode);
    in = haltere_get_u16(in, &message->status);
    for (int i = 0; i < 4; i++) {
        in = haltere_get_f32(in, &message->motor[i]);
    }
}

/** Packs into HALTERE_SIZE_HEARTBEAT bytes. */
static inline void haltere_heartbeat_pack(const haltere_heartbeat *message, uint8_t *out)
{
    haltere_put_u8(out, message->life_cycle);
}

/** Unpacks HALTERE_SIZE_HEARTBEAT bytes. */
static inline void haltere_heartbeat_unpack(haltere_heartbeat *message, const uint8_t *in)
{
    haltere_get_u8(in, &message->life_cycle);
}

/** Packs into HALTERE_SIZE_STATUS bytes. */
static inline void haltere_status_pack(const haltere_status *message, uint8_t *out)
{
    out = haltere_put_u8(out, message->life_cycle);
    out = haltere_put_u8(out, message->mode);
    out = haltere_put_u32(out, message->states_received);
    out = haltere_put_u32(out, message->actions_sent);
    out = haltere_put_u32(out, message->frames_dropped);
    out = haltere_put_f32(out, message->inference_p50_us);
    out = haltere_put_f32(out, message->inference_p99_us);
    haltere_put_f32(out, message->inference_max_us);
}

/** Unpacks HALTERE_SIZE_STATUS bytes. */
static inline void haltere_status_unpack(haltere_status *message, const uint8_t *in)
{
    in = haltere_get_u8(in, &message->life_cycle);
    in = haltere_get_u8(in, &message->mode);
    in = haltere_get_u32(in, &message->states_received);
    in = haltere_get_u32(in, &message->actions_sent);
    in = haltere_get_u32(in, &message->frames_dropped);
    in = haltere_get_f32(in, &message->inference_p50_us);
    in = haltere_get_f32(in, &message->inference_p99_us);
    haltere_get_f32(in, &message->inference_max_us);
}

/** Packs into HALTERE_SIZE_PARAMETER_SET bytes. */
static inline void haltere_parameter_set_pack(const haltere_parameter_set *message, uint8_t *out)
{
    out = haltere_put_text(out, message->name, 16);
    haltere_put_f32(out, message->value);
}

/** Unpacks HALTERE_SIZE_PARAMETER_SET bytes. */
static inline void haltere_parameter_set_unpack(haltere_parameter_set *message, const uint8_t *in)
{
    in = haltere_get_text(in, message->name, 16);
    haltere_get_f32(in, &message->value);
}

/** Packs into HALTERE_SIZE_PARAMETER_VALUE bytes. */
static inline void haltere_parameter_value_pack(const haltere_parameter_value *message, uint8_t *out)
{
    out = haltere_put_text(out, message->name, 16);
    out = haltere_put_f32(out, message->value);
    haltere_put_u8(out, message->accepted);
}

/** Unpacks HALTERE_SIZE_PARAMETER_VALUE bytes. */
static inline void haltere_parameter_value_unpack(haltere_parameter_value *message, const uint8_t *in)
{
    in = haltere_get_text(in, message->name, 16);
    in = haltere_get_f32(in, &message->value);
    haltere_get_u8(in, &message->accepted);
}

/** Packs into HALTERE_SIZE_FAULT bytes. */
static inline void haltere_fault_pack(const haltere_fault *message, uint8_t *out)
{
    out = haltere_put_u16(out, message->code);
    out = haltere_put_u32(out, message->detail);
    haltere_put_text(out, message->text, 48);
}

/** Unpacks HALTERE_SIZE_FAULT bytes. */
static inline void haltere_fault_unpack(haltere_fault *message, const uint8_t *in)
{
    in = haltere_get_u16(in, &message->code);
    in = haltere_get_u32(in, &message->detail);
    haltere_get_text(in, message->text, 48);
}

/** Packs into HALTERE_SIZE_LOG bytes. */
static inline void haltere_log_pack(const haltere_log *message, uint8_t *out)
{
    out = haltere_put_u8(out, message->level);
    haltere_put_text(out, message->text, 64);
}

/** Unpacks HALTERE_SIZE_LOG bytes. */
static inline void haltere_log_unpack(haltere_log *message, const uint8_t *in)
{
    in = haltere_get_u8(in, &message->level);
    haltere_get_text(in, message->text, 64);
}

/** Packs into HALTERE_SIZE_MOTORS bytes. */
static inline void haltere_motors_pack(const haltere_motors *message, uint8_t *out)
{
    out = haltere_put_u32(out, message->state_valid_us);
    for (int i = 0; i < 4; i++) {
        out = haltere_put_f32(out, message->motor[i]);
    }
    out = haltere_put_u8(out, message->source);
    out = haltere_put_u8(out, message->mode);
    out = haltere_put_u16(out, message->status);
    out = haltere_put_u32(out, message->round_trip_us);
    haltere_put_u32(out, message->frames_dropped);
}

/** Unpacks HALTERE_SIZE_MOTORS bytes. */
static inline void haltere_motors_unpack(haltere_motors *message, const uint8_t *in)
{
    in = haltere_get_u32(in, &message->state_valid_us);
    for (int i = 0; i < 4; i++) {
        in = haltere_get_f32(in, &message->motor[i]);
    }
    in = haltere_get_u8(in, &message->source);
    in = haltere_get_u8(in, &message->mode);
    in = haltere_get_u16(in, &message->status);
    in = haltere_get_u32(in, &message->round_trip_us);
    haltere_get_u32(in, &message->frames_dropped);
}

#endif
