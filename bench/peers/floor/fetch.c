// What a fetch costs with bare system calls: the floor for sending stored batches.
//   cc -O2 fetch.c -o fetch
//   ./fetch serve FILE REQUEST_BYTES RESPONSE_BYTES    prints its port; answers each request on one connection with the
//                                                      next stretch of FILE: a size, then sendfile
//   ./fetch read PORT REQUESTS REQUEST_BYTES SECONDS [PER_SECOND [DEPTH]]
//                                                      sends the requests of a file, DEPTH (1) at a time and over again;
//                                                      throws the answers away; prints answers and bytes of them, per second
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void die(const char *what) { perror(what); exit(1); }

static void receive(int fd, void *to, size_t bytes) {
  for (size_t got = 0; got < bytes;) {
    ssize_t count = recv(fd, (char *)to + got, bytes - got, 0);
    if (count <= 0) exit(count < 0);
    got += count;
  }
}

static int serve(const char *path, size_t request_bytes, size_t response_bytes) {
  int file = open(path, O_RDONLY), listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct stat found;
  if (file < 0 || fstat(file, &found)) die(path);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  if (bind(listener, (void *)&address, length) || listen(listener, 1)) die("listen");
  getsockname(listener, (void *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  int client = accept(listener, 0, 0);
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char *request = malloc(request_bytes);
  for (off_t at = 0;;) {
    receive(client, request, request_bytes);
    if (at + (off_t)response_bytes > found.st_size) at = 0;
    uint32_t size = htonl(response_bytes);
    if (send(client, &size, 4, MSG_MORE | MSG_NOSIGNAL) != 4) return 0;
    for (size_t left = response_bytes; left > 0;) {
      ssize_t count = sendfile(client, file, &at, left);
      if (count <= 0) return 0;
      left -= count;
    }
  }
}

static int read_all(int port, const char *path, size_t request_bytes, double seconds, double per_second, int depth) {
  int file = open(path, O_RDONLY), server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct stat found;
  if (file < 0 || fstat(file, &found)) die(path);
  char *requests = malloc(found.st_size);
  if (read(file, requests, found.st_size) != found.st_size) die(path);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  if (connect(server, (void *)&address, sizeof address)) die("connect");
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  static char trash[1 << 20];
  double start = now(), took = 0, bytes = 0, answers = 0;
  double sent = 0;
  for (off_t at = 0; took < seconds; took = now() - start, answers++) {
    if (per_second > 0 && start + answers / per_second > now()) usleep((start + answers / per_second - now()) * 1e6);
    for (; sent < answers + depth; sent++, at += request_bytes) {
      if (at + (off_t)request_bytes > found.st_size) at = 0;
      if (send(server, requests + at, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) die("send");
    }
    uint32_t size;
    receive(server, &size, 4);
    for (size_t left = ntohl(size); left > 0;) {
      ssize_t count = recv(server, trash, left < sizeof trash ? left : sizeof trash, MSG_TRUNC);
      if (count <= 0) die("recv");
      left -= count;
      bytes += count;
    }
  }
  printf("%.0f %.0f\n", answers / took, bytes / took);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "serve")) return serve(argv[2], atol(argv[3]), atol(argv[4]));
  if (argc >= 6 && !strcmp(argv[1], "read"))
    return read_all(atoi(argv[2]), argv[3], atol(argv[4]), atof(argv[5]), argc > 6 ? atof(argv[6]) : 0, argc > 7 ? atoi(argv[7]) : 1);
  fprintf(stderr, "usage: fetch serve FILE REQUEST_BYTES RESPONSE_BYTES | read PORT REQUESTS REQUEST_BYTES SECONDS [PER_SECOND [DEPTH]]\n");
  return 2;
}
