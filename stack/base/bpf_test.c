/* SPDX-License-Identifier: MIT */
#include "base/bpf.h"

#include <criterion/criterion.h>

#include "base/util.h"

static const uint8_t pkt[] = {0x45, 0,	  0,	10,   0xde, 0xad,
			      0xbe, 0xef, 0x12, 0x34, 0x56, 0x78};
static const struct bpf_pkt p = {
	.data = pkt + 4, .len = 8, .net = pkt, .proto = 0x800, .ifindex = 2};

#define RUN(...) bpf_run((struct sock_filter[]){__VA_ARGS__}, &p)
#define VALID(...)                                        \
	bpf_is_valid((struct sock_filter[]){__VA_ARGS__}, \
		     ARRAY_SIZE(((struct sock_filter[]){__VA_ARGS__})))
#define S(code, k) BPF_STMT(code, (uint32_t)(k))
#define J(code, k, t, f) BPF_JUMP(code, k, t, f)
#define LD_W (BPF_LD | BPF_W | BPF_ABS)
#define LD_H (BPF_LD | BPF_H | BPF_ABS)
#define LD_B (BPF_LD | BPF_B | BPF_ABS)
#define RET_K (BPF_RET | BPF_K)
#define RET_A (BPF_RET | BPF_A)

Test(bpf, loads_are_big_endian_and_bounded)
{
	cr_assert(RUN(S(LD_W, 0), S(RET_A, 0)) == 0xdeadbeef);
	cr_assert(RUN(S(LD_H, 6), S(RET_A, 0)) == 0x5678);
	cr_assert(RUN(S(LD_B, 7), S(RET_A, 0)) == 0x78);
	cr_assert(RUN(S(LD_B, 8), S(RET_K, 9)) == 0);
	cr_assert(RUN(S(LD_W, 5), S(RET_K, 9)) == 0);
	cr_assert(RUN(S(LD_W, 0x7fffffff), S(RET_K, 9)) == 0);
	cr_assert(RUN(S(BPF_LD | BPF_W | BPF_LEN, 0), S(RET_A, 0)) == 8);
	cr_assert(RUN(S(BPF_LDX | BPF_IMM, 4), S(BPF_LD | BPF_H | BPF_IND, 2),
		      S(RET_A, 0)) == 0x5678);
	cr_assert(RUN(S(BPF_LDX | BPF_IMM, -1), S(BPF_LD | BPF_H | BPF_IND, 2),
		      S(RET_A, 0)) == 0xadbe);
}

Test(bpf, what_lies_beside_the_bytes)
{
	cr_assert(RUN(S(LD_B, SKF_NET_OFF), S(RET_A, 0)) == 0x45);
	cr_assert(RUN(S(BPF_LDX | BPF_B | BPF_MSH, SKF_NET_OFF),
		      S(BPF_MISC | BPF_TXA, 0), S(RET_A, 0)) == 20);
	cr_assert(RUN(S(LD_H, SKF_AD_OFF + SKF_AD_PROTOCOL), S(RET_A, 0)) ==
		  0x800);
	cr_assert(RUN(S(LD_W, SKF_AD_OFF + SKF_AD_IFINDEX), S(RET_A, 0)) == 2);
	cr_assert(RUN(S(LD_B, SKF_LL_OFF), S(RET_K, 9)) == 0);
}

Test(bpf, arithmetic_jumps_and_memory)
{
	cr_assert(RUN(S(BPF_LD | BPF_IMM, 40), S(BPF_ST, 3),
		      S(BPF_ALU | BPF_MUL | BPF_K, 3), S(BPF_LDX | BPF_MEM, 3),
		      S(BPF_ALU | BPF_SUB | BPF_X, 0), S(RET_A, 0)) == 80);
	cr_assert(RUN(S(BPF_LD | BPF_IMM, 7),
		      J(BPF_JMP | BPF_JGT | BPF_K, 6, 1, 0), S(RET_K, 1),
		      S(RET_K, 2)) == 2);
	cr_assert(RUN(S(BPF_LD | BPF_IMM, 7), S(BPF_ALU | BPF_DIV | BPF_X, 0),
		      S(RET_K, 9)) == 0);
	cr_assert(RUN(J(BPF_JMP | BPF_JA, 1, 0, 0), S(RET_K, 1), S(RET_K, 3)) ==
		  3);
}

Test(bpf, only_programs_that_end_are_taken)
{
	cr_assert(VALID(S(RET_K, 0)));
	cr_assert(!bpf_is_valid(NULL, 0));
	cr_assert(!VALID(S(LD_W, 0)));
	cr_assert(!VALID(J(BPF_JMP | BPF_JA, 1, 0, 0), S(RET_K, 1)));
	cr_assert(!VALID(J(BPF_JMP | BPF_JA, -1, 0, 0), S(RET_K, 1)));
	cr_assert(!VALID(J(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), S(RET_K, 1)));
	cr_assert(!VALID(S(BPF_ALU | BPF_DIV | BPF_K, 0), S(RET_K, 1)));
	cr_assert(!VALID(S(BPF_ALU | BPF_LSH | BPF_K, 32), S(RET_K, 1)));
	cr_assert(!VALID(S(BPF_ST, 16), S(RET_K, 1)));
	cr_assert(!VALID(S(BPF_LD | BPF_MEM, 1), S(RET_K, 1)));
	cr_assert(VALID(S(BPF_ST, 1), S(BPF_LD | BPF_MEM, 1), S(RET_A, 1)));
	cr_assert(!VALID(S(0xffff, 0), S(RET_K, 1)));
	cr_assert(!VALID(S(BPF_RET | BPF_X, 0)));
}
