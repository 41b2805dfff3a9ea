/* ZMTP 3 (RFC 23) from a DEALER's side, with NULL or CURVE (RFC 26). The cryptography is libsodium's, loaded by name. */
#include "load.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define GREETING 64
#define MORE 1
#define LONG 2
#define COMMAND 4

struct curve {
    uint8_t short_public[32], short_secret[32], long_public[32], long_secret[32], shared[32];
    uint64_t nonce;
};

static int (*keypair)(uint8_t *, uint8_t *);
static int (*box)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *, const uint8_t *, const uint8_t *);
static int (*box_open)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *, const uint8_t *, const uint8_t *);
static int (*before)(uint8_t *, const uint8_t *, const uint8_t *);
static int (*seal)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *, const uint8_t *);
static int (*unseal)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *, const uint8_t *);
static int (*stream)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *, const uint8_t *);
static void (*dice)(void *, size_t);

int zmtp_load(const char *libsodium) {
    void *lib = dlopen(libsodium, RTLD_NOW);
    if (!lib) return 1;
    int (*init)(void) = (int (*)(void))dlsym(lib, "sodium_init");
    *(void **)&keypair = dlsym(lib, "crypto_box_keypair");
    *(void **)&box = dlsym(lib, "crypto_box_easy");
    *(void **)&box_open = dlsym(lib, "crypto_box_open_easy");
    *(void **)&before = dlsym(lib, "crypto_box_beforenm");
    *(void **)&seal = dlsym(lib, "crypto_box_easy_afternm");
    *(void **)&unseal = dlsym(lib, "crypto_box_open_easy_afternm");
    *(void **)&stream = dlsym(lib, "crypto_stream_xsalsa20_xor");
    *(void **)&dice = dlsym(lib, "randombytes_buf");
    return !(init && keypair && box && box_open && before && seal && unseal && stream && dice) || init() < 0;
}

static void send_frame(struct conn *c, int flags, const uint8_t *data, size_t size) {
    static uint8_t out[PAYLOAD_MAX + 128];
    size_t at = 2;
    if (size < 256) {
        out[0] = (uint8_t)flags;
        out[1] = (uint8_t)size;
    } else {
        out[0] = (uint8_t)(flags | LONG);
        for (int i = 0; i < 8; i++) out[1 + i] = (uint8_t)((uint64_t)size >> (56 - 8 * i));
        at = 9;
    }
    memcpy(out + at, data, size);
    put(c, out, at + size);
}

/* A nonce of 24 bytes: 16 letters and the connection's next number. */
static void next_nonce(struct conn *c, const char *letters, uint8_t *nonce) {
    memcpy(nonce, letters, 16);
    uint64_t n = ++c->curve->nonce;
    for (int i = 0; i < 8; i++) nonce[16 + i] = (uint8_t)(n >> (56 - 8 * i));
}

void zmtp_send(struct conn *c, int flags, const uint8_t *data, size_t size) {
    if (size > PAYLOAD_MAX) {
        fail(c, "a message is too long to send");
        return;
    }
    if (!c->curve) {
        send_frame(c, flags & 1 ? COMMAND : 0, data, size);
        return;
    }
    static uint8_t plain[PAYLOAD_MAX + 1], out[PAYLOAD_MAX + 64];
    uint8_t nonce[24];
    plain[0] = (uint8_t)(flags & 1 ? 2 : 0);
    memcpy(plain + 1, data, size);
    next_nonce(c, "CurveZMQMESSAGEC", nonce);
    memcpy(out, "\7MESSAGE", 8);
    memcpy(out + 8, nonce + 16, 8);
    seal(out + 16, plain, size + 1, nonce, c->curve->shared);
    send_frame(c, 0, out, 16 + 16 + size + 1);
}

void zmtp_start(struct conn *c) {
    uint8_t greeting[GREETING] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1};
    memcpy(greeting + 12, plan.framing == ZMTP_CURVE ? "CURVE" : "NULL", plan.framing == ZMTP_CURVE ? 5 : 4);
    put(c, greeting, GREETING);
}

static size_t metadata(uint8_t *out) {
    static const uint8_t text[] = "\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0";
    memcpy(out, text, sizeof text - 1);
    return sizeof text - 1;
}

static void say_ready(struct conn *c) {
    uint8_t out[64] = "\5READY";
    send_frame(c, COMMAND, out, 6 + metadata(out + 6));
}

static void say_curve_hello(struct conn *c) {
    uint8_t out[200] = "\5HELLO\1", nonce[24], zeros[64] = {0};
    struct curve *k = c->curve = calloc(1, sizeof *k);
    keypair(k->short_public, k->short_secret);
    keypair(k->long_public, k->long_secret);
    next_nonce(c, "CurveZMQHELLO---", nonce);
    memcpy(out + 80, k->short_public, 32);
    memcpy(out + 112, nonce + 16, 8);
    box(out + 120, zeros, 64, nonce, plan.server_key.at, k->short_secret);
    send_frame(c, COMMAND, out, 200);
}

static void say_initiate(struct conn *c, const uint8_t *welcome, size_t size) {
    uint8_t nonce[24] = "WELCOME-", plain[128], vouch[64], inner[512], out[700] = "\10INITIATE";
    struct curve *k = c->curve;
    memcpy(nonce + 8, welcome + 8, 16);
    if (size != 168 || box_open(plain, welcome + 24, 144, nonce, plan.server_key.at, k->short_secret)) {
        fail(c, "the WELCOME cannot be opened");
        return;
    }
    before(k->shared, plain, k->short_secret);
    memcpy(inner, k->long_public, 32);
    memcpy(nonce, "VOUCH---", 8);
    dice(nonce + 8, 16);
    memcpy(inner + 32, nonce + 8, 16);
    memcpy(vouch, k->short_public, 32);
    memcpy(vouch + 32, plan.server_key.at, 32);
    box(inner + 48, vouch, 64, nonce, plain, k->long_secret);
    size_t inside = 128 + metadata(inner + 128);
    next_nonce(c, "CurveZMQINITIATE", nonce);
    memcpy(out + 9, plain + 32, 96);
    memcpy(out + 105, nonce + 16, 8);
    seal(out + 113, inner, inside, nonce, k->shared);
    send_frame(c, COMMAND, out, 113 + 16 + inside);
}

static void command(struct conn *c, const uint8_t *data, size_t size) {
    if (size >= 7 && !memcmp(data, "\4PING", 5)) {
        uint8_t out[64] = "\4PONG";
        size_t context = size - 7 < 16 ? size - 7 : 16;
        memcpy(out + 5, data + 7, context);
        zmtp_send(c, 1, out, 5 + context);
    }
}

static void handshake(struct conn *c, const uint8_t *data, size_t size) {
    if (size >= 24 && !memcmp(data, "\7WELCOME", 8) && c->curve) say_initiate(c, data, size);
    else if (size >= 6 && !memcmp(data, "\5READY", 6)) opened(c);
    else fail(c, "the handshake was refused");
}

static void sealed(struct conn *c, uint8_t *data, size_t size, int whole) {
    static uint8_t *plain;
    static size_t room;
    uint8_t nonce[24] = "CurveZMQMESSAGES";
    if (size < 33 || memcmp(data, "\7MESSAGE", 8)) {
        fail(c, "a frame that is no MESSAGE");
        return;
    }
    if (room < size + PEEK) plain = realloc(plain, room = 2 * size + PEEK);
    memcpy(nonce + 16, data + 8, 8);
    size_t seen = size - 32;
    if (c->sampled) {
        if (!whole || unseal(plain, data + 16, size - 16, nonce, c->curve->shared)) {
            fail(c, "a MESSAGE cannot be opened");
            return;
        }
    } else { /* the flags and the first bytes: the first block of the key stream is all that takes */
        uint8_t block[64] = {0};
        if (seen > 32) seen = 32;
        memcpy(block + 32, data + 32, seen);
        stream(block, block, 64, nonce, c->curve->shared);
        memcpy(plain, block + 32, seen);
    }
    if (plain[0] & 2) command(c, plain + 1, seen - 1);
    else message(c, plain + 1, seen - 1, whole);
}

size_t zmtp_take(struct conn *c, uint8_t *data, size_t size) {
    if (c->sub == 0) {
        if (size < GREETING) return 0;
        c->sub = 1;
        if (plan.framing == ZMTP_CURVE) say_curve_hello(c);
        else say_ready(c);
        return GREETING;
    }
    if (size < 2) return 0;
    size_t at = 2;
    uint64_t length = data[1];
    if (data[0] & LONG) {
        if (size < 9) return 0;
        length = 0;
        for (int i = 1; i < 9; i++) length = length << 8 | data[i];
        at = 9;
    }
    int whole = size - at >= length, is_command = data[0] & COMMAND;
    if (!whole && (c->stage != OPEN || c->sampled || is_command || size - at < 2 * PEEK)) return 0;
    size_t here = whole ? length : size - at;
    if (c->stage != OPEN) handshake(c, data + at, here);
    else if (is_command) command(c, data + at, here);
    else if (c->curve) sealed(c, data + at, here, whole);
    else message(c, data + at, here, whole);
    c->skip = length - here;
    return at + here;
}
