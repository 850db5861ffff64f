/* limit: measures the cost of the kernel's writes alone. It has a log per stream and a cursor per viewer. Linux, C11.
 *
 *     limit VIEWER_PORT PUBLISH_PORT
 *
 * Viewers request GET /N. The publisher sends lines `N data`. It is not a usable server: it has no resume, no timeouts
 * and no checks.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAMS 10000

enum kind { VIEWER_LISTENER, PUBLISH_LISTENER, VIEWER, PUBLISHER };

struct connection {
    enum kind kind;
    int fd, stream;
    bool full;
    size_t cursor;
    struct connection *next;
};

static struct stream {
    char *log;
    size_t size, room;
    int events;
    bool grown;
    struct connection *viewers;
} streams[STREAMS];

static int poller, grown[STREAMS], grown_count;

static struct connection *add_connection(int fd, enum kind kind) {
    struct connection *connection = calloc(1, sizeof *connection);
    *connection = (struct connection){.kind = kind, .fd = fd, .stream = -1};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = connection});
    return connection;
}

static void open_listener(int port, enum kind kind) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("limit");
        exit(1);
    }
    add_connection(fd, kind);
}

static void serve(struct connection *viewer) {
    struct stream *stream = &streams[viewer->stream];
    bool full = false;
    while (viewer->cursor < stream->size && !full) {
        ssize_t n = send(viewer->fd, stream->log + viewer->cursor, stream->size - viewer->cursor, MSG_NOSIGNAL);
        if (n > 0) viewer->cursor += (size_t)n;
        else full = true;
    }
    if (full != viewer->full) {
        struct epoll_event wanted = {.events = EPOLLIN | (full ? EPOLLOUT : 0), .data.ptr = viewer};
        epoll_ctl(poller, EPOLL_CTL_MOD, viewer->fd, &wanted);
        viewer->full = full;
    }
}

static void drop(struct connection *connection) {
    if (connection->kind == VIEWER && connection->stream >= 0) {
        struct connection **at = &streams[connection->stream].viewers;
        while (*at != connection) at = &(*at)->next;
        *at = connection->next;
    }
    close(connection->fd);
    free(connection);
}

static void start_response(struct connection *viewer, const char *request) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    viewer->stream = atoi(request + strlen("GET /")) % STREAMS;
    viewer->next = streams[viewer->stream].viewers;
    streams[viewer->stream].viewers = viewer;
    send(viewer->fd, head, sizeof head - 1, MSG_NOSIGNAL);
    serve(viewer);
}

static void append(int number, const char *data, size_t size) {
    struct stream *stream = &streams[number % STREAMS];
    if (stream->size + size + 128 > stream->room) {
        stream->room = (stream->size + size + 4096) * 2;
        stream->log = realloc(stream->log, stream->room);
    }
    char head[64];
    int head_size = sprintf(head, "id: 1-%d\ndata: ", ++stream->events);
    stream->size += (size_t)sprintf(stream->log + stream->size, "%zx\r\n%s", head_size + size + 2, head);
    memcpy(stream->log + stream->size, data, size);
    memcpy(stream->log + stream->size + size, "\n\n\r\n", 4);
    stream->size += size + 4;
    if (!stream->grown) grown[grown_count++] = number % STREAMS;
    stream->grown = true;
}

static void receive(struct connection *connection) {
    static char lines[1 << 21], request[4096];
    static size_t kept;
    if (connection->kind == VIEWER) {
        ssize_t n = recv(connection->fd, request, sizeof request, 0);
        if (n <= 0) drop(connection);
        else if (connection->stream < 0) start_response(connection, request);
        return;
    }
    ssize_t n = recv(connection->fd, lines + kept, (sizeof lines) / 2, 0);
    if (n <= 0) {
        drop(connection);
        return;
    }
    char *line = lines, *end = lines + kept + n, *next, *data;
    for (; (next = memchr(line, '\n', (size_t)(end - line))); line = next + 1) {
        int number = (int)strtol(line, &data, 10);
        append(number, data + 1, (size_t)(next - data - 1));
    }
    kept = (size_t)(end - line);
    memmove(lines, line, kept);
}

static void accept_all(struct connection *listener) {
    for (int fd; (fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        add_connection(fd, listener->kind == VIEWER_LISTENER ? VIEWER : PUBLISHER);
    }
}

int main(int count, char **words) {
    if (count != 3) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    open_listener(atoi(words[1]), VIEWER_LISTENER);
    open_listener(atoi(words[2]), PUBLISH_LISTENER);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->kind < VIEWER) accept_all(connection);
            else if (connection->kind == VIEWER && events[i].events & EPOLLOUT) serve(connection);
            else receive(connection);
        }
        for (; grown_count; grown_count--) {
            struct stream *stream = &streams[grown[grown_count - 1]];
            stream->grown = false;
            for (struct connection *viewer = stream->viewers; viewer; viewer = viewer->next)
                if (!viewer->full) serve(viewer);
        }
    }
}
