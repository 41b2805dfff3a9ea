/* What the parts of the load generator share: one client's connection, and what a run is asked to do. */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>

enum framing { WEBSOCKET, ZMTP_NULL, ZMTP_CURVE };
enum seq_mode { SEQ_LITTLE, SEQ_BIG, SEQ_DECIMAL };
enum stage { CLOSED, CONNECTING, OPENING, OPEN };

#define PEEK 64        /* bytes of a message looked at when it is not recorded */
#define PAYLOAD_MAX 16384
#define SENT_RING 2048 /* poses of one client whose time of sending is remembered */

struct blob {
    const uint8_t *at;
    uint32_t size;
};

/* Read from the plan file; every field is a little-endian u32 there, in this order. */
struct plan {
    uint32_t framing, port, clients, hz_milli, warm_ms, run_ms, patience_ms, opening_max, motions, motion_stride,
        seq_mode, seq_at, sample_every, record_all, reply_to;
    uint8_t view_bytes[256]; /* 1 where a message that begins with this byte is a view */
    struct blob server_key, reply, *motion, *opening, *hello;
};

struct conn {
    int fd;
    uint8_t stage, sub, ready, sampled, more, skip_is_view;
    uint32_t number, seq, views;
    uint64_t bytes, skip; /* bytes of the current message still to be thrown away */
    uint8_t *held;        /* the beginning of a message that has not come whole */
    size_t held_size, held_room;
    uint8_t *unsent;
    size_t unsent_size;
    struct curve *curve;
};

extern struct plan plan;

/* load.c */
void put(struct conn *c, const uint8_t *data, size_t size);         /* bytes to the socket; what finds no room waits */
void message(struct conn *c, const uint8_t *data, size_t size, int whole); /* a message (or its beginning) came in */
void opened(struct conn *c);                                        /* the handshake is over: say hello */
void fail(struct conn *c, const char *why);                         /* this connection is lost */

/* ws.c and zmtp.c: each takes what it can from `data`, returns how much; 0 waits for more. */
size_t ws_take(struct conn *c, uint8_t *data, size_t size);
void ws_send(struct conn *c, int opcode, const uint8_t *data, size_t size);
size_t zmtp_take(struct conn *c, uint8_t *data, size_t size);
void zmtp_start(struct conn *c);
void zmtp_send(struct conn *c, int flags, const uint8_t *data, size_t size);
int zmtp_load(const char *libsodium); /* 0 when the library and all its functions are there */

#endif
