// What a replicated produce path costs with bare system calls: CPU seconds for N records of 1 KiB (default 1.1 million), by step.
//   cc -O2 cluster.c -o cluster && ./cluster [RECORDS]      (in an empty directory)
// Three nodes do at least: one receive from the client, two sends and two receives between nodes, three writes of segments
// through the page cache, three of journals past it with their fdatasyncs, one sendfile to a consumer. The last line adds those up.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, READ = 256 << 10, JOURNAL = 64 * MIB };
static long total;
static char *memory;

static void check(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static double cpu(int who) {
  struct rusage r;
  getrusage(who, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

// Moves everything over the loopback, from memory or from a file.
static void move(int file, double *sender, double *receiver) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof place;
  check(bind(listener, (void *)&place, sizeof place) == 0 && listen(listener, 1) == 0, "listen");
  getsockname(listener, (void *)&place, &length);
  int out = socket(AF_INET, SOCK_STREAM, 0);
  check(connect(out, (void *)&place, sizeof place) == 0, "connect");
  int in = accept(listener, 0, 0);
  close(listener);
  setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  double own = cpu(RUSAGE_SELF), others = cpu(RUSAGE_CHILDREN);
  int child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    close(out);
    while (read(in, memory + 8 * MIB, READ) > 0);
    _exit(0);
  }
  close(in);
  off_t at = 0;
  for (long sent = 0; sent < total;) {
    long wanted = total - sent < MIB ? total - sent : MIB;
    long count = file < 0 ? write(out, memory + sent / MIB % 8 * MIB, wanted) : sendfile(out, file, &at, wanted);
    check(count > 0, "send");
    sent += count;
  }
  close(out);
  waitpid(child, 0, 0);
  *sender = cpu(RUSAGE_SELF) - own;
  *receiver = cpu(RUSAGE_CHILDREN) - others;
}

int main(int count, char **words) {
  total = (count > 1 ? atol(words[1]) : 1100000) * 1034;
  memory = aligned_alloc(4096, 9 * MIB);
  memset(memory, 7, 9 * MIB);
  double send, receive, serve, consumer;
  move(-1, &send, &receive);
  printf("loopback TCP: send %.2f, receive %.2f\n", send, receive);

  int file = open("segment", O_CREAT | O_RDWR | O_TRUNC, 0644);
  check(file >= 0, "segment");
  double from = cpu(RUSAGE_SELF);
  for (long at = 0; at < total; at += MIB) check(pwrite(file, memory + at / MIB % 8 * MIB, MIB, at) == MIB, "pwrite");
  double segment = cpu(RUSAGE_SELF) - from;
  printf("segment through the page cache, a MiB each: %.2f\n", segment);
  move(file, &serve, &consumer);
  printf("sendfile %.2f (consumer %.2f)\n", serve, consumer);
  close(file);
  unlink("segment");

  file = open("journal", O_CREAT | O_RDWR | O_TRUNC, 0644);
  check(file >= 0, "journal");
  for (long at = 0; at < JOURNAL; at += MIB) check(pwrite(file, memory, MIB, at) == MIB, "pwrite");
  check(fsync(file) == 0, "fsync");
  close(file);
  file = open("journal", O_RDWR | O_DIRECT);
  check(file >= 0, "journal");
  from = cpu(RUSAGE_SELF);
  for (long at = 0; at < total; at += MIB) {
    check(pwrite(file, memory, MIB, at % JOURNAL) == MIB, "pwrite");
    check(fdatasync(file) == 0, "fdatasync");
  }
  double journal = cpu(RUSAGE_SELF) - from;
  printf("journal past it, a MiB and an fdatasync each: %.2f\n", journal);
  unlink("journal");

  printf("three nodes at least: %.2f CPU s\n", receive + 2 * (send + receive) + 3 * (segment + journal) + serve);
  return 0;
}
