/* The floor: a WebSocket relay that does nothing but keep each sender's newest 88 bytes and send every room's rows to
 * everybody in it 20 times a second. No library, no checks beyond what keeps it alive.
 *
 *     relay PORT HZ
 *
 * A client connects to /ROOM/ID. In: u32 seq and 84 bytes. Out: u8 1, u8 0, u16 n, n x (u16 id, u32 seq, 84 bytes).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CLIENTS_MAX 8192
#define ROOMS_MAX 1024
#define STATE 88
#define ROW (2 + STATE)
#define HEAD 4
#define EVENTS 512
#define IN_MAX 4096

struct room {
    uint8_t *rows; /* HEAD bytes, then ROW for each */
    uint32_t count, room_for;
    int *fds;
};

struct client {
    int fd, room, row, held;
    uint8_t in[IN_MAX];
    uint8_t *unsent;
    size_t unsent_size;
};

static struct room rooms[ROOMS_MAX];
static struct client *by_fd[CLIENTS_MAX + 64];
static int poller;

/* SHA-1 of a message of less than 120 bytes, for the answer to an upgrade. */
static void sha1(const uint8_t *data, size_t size, uint8_t *out) {
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, w[80];
    uint8_t block[128] = {0};
    size_t total = size < 56 ? 64 : 128;
    memcpy(block, data, size);
    block[size] = 0x80;
    block[total - 2] = (uint8_t)(size * 8 >> 8);
    block[total - 1] = (uint8_t)(size * 8);
    for (size_t at = 0; at < total; at += 64) {
        for (int i = 0; i < 16; i++) {
            const uint8_t *b = block + at + 4 * i;
            w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        }
        for (int i = 16; i < 80; i++) {
            uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
            w[i] = x << 1 | x >> 31;
        }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
            uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
            uint32_t t = (a << 5 | a >> 27) + f + e + k + w[i];
            e = d;
            d = c;
            c = b << 30 | b >> 2;
            b = a;
            a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t *in, int size, char *out) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < size; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < size ? (uint32_t)in[i + 1] << 8 : 0) | (i + 2 < size ? in[i + 2] : 0);
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = i + 1 < size ? letters[v >> 6 & 63] : '=';
        *out++ = i + 2 < size ? letters[v & 63] : '=';
    }
    *out = 0;
}

static void drop(struct client *c) {
    struct room *room = c->room >= 0 ? rooms + c->room : NULL;
    if (room) { /* the last row takes the place of this one */
        uint32_t last = --room->count;
        memmove(room->rows + HEAD + (size_t)c->row * ROW, room->rows + HEAD + (size_t)last * ROW, ROW);
        room->fds[c->row] = room->fds[last];
        by_fd[room->fds[c->row]]->row = c->row;
    }
    by_fd[c->fd] = NULL;
    close(c->fd);
    free(c->unsent);
    free(c);
}

static void enter(struct client *c, int number, int id) {
    struct room *room = rooms + number;
    if (room->count == room->room_for) {
        room->room_for = room->room_for ? 2 * room->room_for : 32;
        room->rows = realloc(room->rows, HEAD + (size_t)room->room_for * ROW);
        room->fds = realloc(room->fds, room->room_for * sizeof *room->fds);
    }
    c->room = number;
    c->row = (int)room->count++;
    room->fds[c->row] = c->fd;
    uint8_t *row = room->rows + HEAD + (size_t)c->row * ROW;
    memset(row, 0, ROW);
    row[0] = (uint8_t)id;
    row[1] = (uint8_t)(id >> 8);
}

/* Bytes out; a client that does not read misses whole views, never parts of one. */
static void put(struct client *c, const uint8_t *head, size_t head_size, const uint8_t *data, size_t size) {
    struct iovec parts[2] = {{(void *)head, head_size}, {(void *)data, size}};
    struct msghdr whole = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = sendmsg(c->fd, &whole, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 || (size_t)n == head_size + size) return; /* EAGAIN: this view is skipped; others show when we read */
    size_t done = (size_t)n, rest = head_size + size - done;
    c->unsent = malloc(rest);
    c->unsent_size = rest;
    size_t of_head = done < head_size ? head_size - done : 0;
    memcpy(c->unsent, head + head_size - of_head, of_head);
    memcpy(c->unsent + of_head, data + size - (rest - of_head), rest - of_head);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void flush_unsent(struct client *c) {
    ssize_t n = send(c->fd, c->unsent, c->unsent_size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) return;
    c->unsent_size -= (size_t)n;
    memmove(c->unsent, c->unsent + n, c->unsent_size);
    if (c->unsent_size) return;
    free(c->unsent);
    c->unsent = NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void show(struct room *room) {
    size_t size = HEAD + (size_t)room->count * ROW, head_size = size < 126 ? 2 : size < 65536 ? 4 : 10;
    uint8_t head[10] = {0x82};
    room->rows[0] = 1;
    room->rows[1] = 0;
    room->rows[2] = (uint8_t)room->count;
    room->rows[3] = (uint8_t)(room->count >> 8);
    head[1] = (uint8_t)(head_size == 2 ? size : head_size == 4 ? 126 : 127);
    for (size_t i = 2; i < head_size; i++) head[i] = (uint8_t)(size >> (8 * (head_size - 1 - i)));
    for (uint32_t i = 0; i < room->count; i++) {
        struct client *c = by_fd[room->fds[i]];
        if (!c->unsent_size) put(c, head, head_size, room->rows, size);
    }
}

static int upgrade(struct client *c) {
    int number, id;
    char *key, answer[256];
    uint8_t digest[20];
    c->in[c->held < IN_MAX ? c->held : IN_MAX - 1] = 0;
    char *text = (char *)c->in, *end = strstr(text, "\r\n\r\n");
    if (!end) return c->held < IN_MAX - 1 ? 0 : -1;
    key = strcasestr(text, "\r\nsec-websocket-key: ");
    if (sscanf(text, "GET /%d/%d ", &number, &id) != 2 || !key || number < 0 || number >= ROOMS_MAX) return -1;
    key += 21;
    char *stop = strstr(key, "\r\n");
    if (stop - key != 24) return -1;
    char joined[64];
    memcpy(joined, key, 24);
    memcpy(joined + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1((uint8_t *)joined, 60, digest);
    char accept[32];
    base64(digest, 20, accept);
    int size = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    if (send(c->fd, answer, (size_t)size, MSG_NOSIGNAL) != size) return -1;
    enter(c, number, id);
    return (int)(end + 4 - text);
}

/* One frame of a client: how many bytes it took, 0 if it is not all there, -1 to end the connection. */
static int frame(struct client *c, uint8_t *data, int size) {
    if (size < 6) return 0;
    int opcode = data[0] & 15, length = data[1] & 127, at = 2;
    if (length == 126) {
        length = data[2] << 8 | data[3];
        at = 4;
    }
    if (!(data[1] & 128) || length == 127 || length > IN_MAX - 16) return -1;
    if (size < at + 4 + length) return 0;
    const uint8_t *mask = data + at;
    uint8_t *body = data + at + 4;
    for (int i = 0; i < length; i++) body[i] ^= mask[i & 3];
    if (opcode == 8) return -1;
    if (opcode == 2 && length == STATE) memcpy(rooms[c->room].rows + HEAD + (size_t)c->row * ROW + 2, body, STATE);
    return at + 4 + length;
}

static void readable(struct client *c) {
    ssize_t n = recv(c->fd, c->in + c->held, (size_t)(IN_MAX - c->held), MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) drop(c);
        return;
    }
    c->held += (int)n;
    int at = 0, taken = 1;
    while (at < c->held && taken > 0) {
        taken = c->room < 0 ? upgrade(c) : frame(c, c->in + at, c->held - at);
        if (taken > 0) at += taken;
    }
    if (taken < 0) {
        drop(c);
        return;
    }
    c->held -= at;
    memmove(c->in, c->in + at, (size_t)c->held);
}

static void welcome(int listener) {
    for (;;) {
        int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        if (fd >= CLIENTS_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct client *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->room = -1;
        by_fd[fd] = c;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_at(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 1024)) exit(2);
    return fd;
}

int main(int argc, char **argv) {
    static struct epoll_event events[EVENTS];
    static char listening, ticking;
    if (argc != 3) return 2;
    struct rlimit files = {CLIENTS_MAX + 64, CLIENTS_MAX + 64}, have;
    getrlimit(RLIMIT_NOFILE, &have);
    if (have.rlim_max > files.rlim_max) files.rlim_max = have.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = listen_at(atoi(argv[1])), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec beat = {{0, 1000000000 / atoi(argv[2])}, {0, 1000000000 / atoi(argv[2])}};
    timerfd_settime(timer, 0, &beat, NULL);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listening};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &ticking;
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1), tick = 0;
        for (int i = 0; i < n; i++) {
            uint64_t beats;
            if (events[i].data.ptr == &listening) welcome(listener);
            else if (events[i].data.ptr == &ticking) tick = read(timer, &beats, sizeof beats) > 0;
            else if (events[i].events & EPOLLOUT) flush_unsent(events[i].data.ptr);
            else readable(events[i].data.ptr);
        }
        for (int i = 0; tick && i < ROOMS_MAX; i++)
            if (rooms[i].count) show(rooms + i);
    }
}
