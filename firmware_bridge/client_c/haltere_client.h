/*
 * The flight controller's end of Haltere's link.
 *
 * C99, no heap, nothing of libc but memcpy, memmove and memset; re-entrant: all is in one struct. Give what
 * the line receives to `haltere_client_feed`, call `haltere_client_poll` in every turn of the loop, send each
 * new state, and take the motor setpoints from `haltere_client_action`. Whenever that does not return
 * HALTERE_ACTION_OK, the flight controller's own control must fly.
 */
#ifndef HALTERE_CLIENT_H
#define HALTERE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "haltere_frame.h"
#include "haltere_messages.h"

#define HALTERE_DEFAULT_ACTION_TIMEOUT_US 25000u
#define HALTERE_DEFAULT_HELLO_PERIOD_US 100000u
#define HALTERE_DEFAULT_HEARTBEAT_PERIOD_US 100000u
#define HALTERE_DEFAULT_LINK_TIMEOUT_US 500000u

/** Motor setpoints may exceed [-1, 1] by this much, and are then clipped; more is rejected. */
#define HALTERE_MOTOR_TOLERANCE 1e-3f

/** Puts bytes onto the line without waiting; returns how many it took. A frame taken in part is lost. */
typedef size_t (*haltere_client_write)(void *user, const uint8_t *bytes, size_t size);

/** Returns a monotonic clock, in microseconds; it wraps. */
typedef uint32_t (*haltere_client_clock)(void *user);

/** Sees every good frame that the runtime sends, after the client has used it. */
typedef void (*haltere_client_message)(void *user, const haltere_frame *frame);

/** Zeros ask for the defaults above. */
typedef struct haltere_client_options {
    uint32_t session_id;             /**< differs at each start of the flight controller */
    uint32_t action_timeout_us;      /**< an action for an older state is stale */
    uint32_t hello_period_us;        /**< between hellos while not connected */
    uint32_t heartbeat_period_us;    /**< between heartbeats while connected */
    uint32_t link_timeout_us;        /**< a runtime silent for longer is disconnected, and greeted anew */
    uint16_t native_rate_hz;         /**< rate at which states are sent */
    const char *name;                /**< of the vehicle; copied; may be NULL */
    haltere_client_clock link_clock; /**< times hellos, heartbeats and the link timeout; NULL: `clock`. For a
                                        simulated vehicle, whose clock is not the wall's */
    haltere_client_message message;  /**< may be NULL */
} haltere_client_options;

/** What `haltere_client_action` found. */
enum haltere_action_result {
    HALTERE_ACTION_OK = 0,               /**< motor setpoints are given, and are fresh */
    HALTERE_ACTION_NONE = 1,             /**< no action yet in this session */
    HALTERE_ACTION_STALE = 2,            /**< the newest action answers a state that is too old */
    HALTERE_ACTION_SAFE = 3,             /**< the runtime itself asks for the flight controller's fallback */
    HALTERE_ACTION_NOT_CONNECTED = 4,    /**< no runtime has answered, or it has fallen silent */
    HALTERE_ACTION_VERSION_MISMATCH = 5, /**< the runtime has another protocol version */
    HALTERE_ACTION_REFUSED = 6,          /**< the runtime sent a fault; see `fault` */
};

enum haltere_client_link {
    HALTERE_LINK_WAITING = 0,
    HALTERE_LINK_CONNECTED = 1,
    HALTERE_LINK_VERSION_MISMATCH = 2,
    HALTERE_LINK_REFUSED = 3,
};

typedef struct haltere_client_counters {
    uint32_t sessions;         /**< handshakes done */
    uint32_t actions_received; /**< actions accepted */
    uint32_t actions_rejected; /**< non-finite, out of bounds, or answering no state sent before now */
    uint32_t actions_outdated; /**< older than the action held */
    uint32_t frames_sent;
    uint32_t writes_dropped; /**< frames that the line did not take whole */
} haltere_client_counters;

/** Read freely; written by the functions below only. */
typedef struct haltere_client {
    haltere_client_options options;
    char name[24 + 1];
    haltere_client_write write;
    haltere_client_clock clock;
    void *user;
    haltere_frame_decoder decoder;
    haltere_client_counters counters;
    enum haltere_client_link link;
    uint8_t sequence;
    uint8_t life_cycle;
    bool hello_sent;
    uint32_t hello_us;     /**< link clock at the last hello sent */
    uint32_t heartbeat_us; /**< link clock at the last heartbeat sent */
    uint32_t heard_us;     /**< link clock at the last good frame received */
    bool action_held;      /**< `action` may be used once its age is checked */
    bool action_expired;   /**< the action held last was found stale */
    haltere_action action;
    haltere_hello runtime; /**< newest hello of the runtime */
    haltere_status status; /**< newest status of the runtime */
    haltere_fault fault;   /**< newest fault of the runtime */
    uint8_t runtime_life_cycle;
} haltere_client;

/** Starts a client. `user` goes to every callback; `options` may be NULL, its name need not outlive the call.
 */
void haltere_client_init(haltere_client *client, haltere_client_write write, haltere_client_clock clock,
                         void *user, const haltere_client_options *options);

/** Forgets the runtime and begins again with a hello; for when the line was closed and opened again. */
void haltere_client_disconnect(haltere_client *client);

/** Takes received bytes, cut anywhere. */
void haltere_client_feed(haltere_client *client, const uint8_t *bytes, size_t size);

/** Sends hellos until the runtime answers, and heartbeats from then on. Call it in every turn of the loop. */
void haltere_client_poll(haltere_client *client);

/** Sets the life cycle that heartbeats tell. Initially HALTERE_LIFE_CYCLE_STANDBY. */
void haltere_client_set_life_cycle(haltere_client *client, uint8_t life_cycle);

/**
 * Sends a state, if connected; its time of validity must not lie in the future.
 *
 * `sequence` may be NULL; it receives the frame's sequence, by which the action names the state it answers.
 * Returns whether the line took it.
 */
bool haltere_client_send_state(haltere_client *client, const haltere_state *state, uint8_t *sequence);

/** Sends a setpoint, if connected. Returns whether the line took it. */
bool haltere_client_send_setpoint(haltere_client *client, const haltere_setpoint *setpoint);

/** Asks for a parameter to be changed, if connected. Returns whether the line took it. */
bool haltere_client_send_parameter_set(haltere_client *client, const haltere_parameter_set *parameter);

/**
 * Gives the newest action, if it may be flown.
 *
 * `motor` receives setpoints in [-1, 1] (front-right, back-right, back-left, front-left) with
 * HALTERE_ACTION_OK, and is otherwise left alone. `details` may be NULL; it receives the newest action,
 * whatever its age, if there is one. An action once found stale is never returned again.
 */
enum haltere_action_result haltere_client_action(haltere_client *client, float motor[4],
                                                 haltere_action *details);

/** Tells whether every number of a state is finite. */
bool haltere_state_is_finite(const haltere_state *state);

#endif
