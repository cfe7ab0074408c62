/* SPDX-License-Identifier: MIT */
#include "base/bpf.h"

#include <stddef.h>

#include "base/util.h"

#define CLASS(i) ((i)->code & 0x07)
#define SIZE(i) ((i)->code & 0x18)
#define MODE(i) ((i)->code & 0xe0)
#define OP(i) ((i)->code & 0xf0)
#define SRC(i) ((i)->code & 0x08)
#define RVAL(i) ((i)->code & 0x18)

/* --- what is a program --- */

static bool is_alu(const struct sock_filter *i)
{
	bool by_k = SRC(i) == BPF_K;

	switch (OP(i)) {
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
		return true;
	case BPF_NEG:
		return by_k;
	case BPF_DIV:
	case BPF_MOD:
		return !by_k || i->k;
	case BPF_LSH:
	case BPF_RSH:
		return !by_k || i->k < 32;
	default:
		return false;
	}
}

static bool is_load(const struct sock_filter *i)
{
	bool is_x = CLASS(i) == BPF_LDX;

	switch (MODE(i)) {
	case BPF_IMM:
	case BPF_LEN:
		return SIZE(i) == BPF_W;
	case BPF_MEM:
		return SIZE(i) == BPF_W && i->k < BPF_MEMWORDS;
	case BPF_MSH:
		return is_x && SIZE(i) == BPF_B;
	case BPF_ABS:
	case BPF_IND:
		return !is_x && SIZE(i) <= BPF_B; /* W, H, B */
	default:
		return false;
	}
}

static bool is_jump(const struct sock_filter *i, uint32_t at, uint32_t num)
{
	switch (OP(i)) {
	case BPF_JA:
		return SRC(i) == BPF_K && i->k < num - at - 1;
	case BPF_JEQ:
	case BPF_JGT:
	case BPF_JGE:
	case BPF_JSET:
		return at + i->jt + 1u < num && at + i->jf + 1u < num;
	default:
		return false;
	}
}

static bool is_instruction(const struct sock_filter *i, uint32_t at,
			   uint32_t num)
{
	if (i->code > 0xff)
		return false;
	switch (CLASS(i)) {
	case BPF_LD:
	case BPF_LDX:
		return is_load(i);
	case BPF_ST:
	case BPF_STX:
		return (i->code & ~0x07) == 0 && i->k < BPF_MEMWORDS;
	case BPF_ALU:
		return is_alu(i);
	case BPF_JMP:
		return is_jump(i, at, num);
	case BPF_RET:
		return (i->code & ~0x18) == BPF_RET && RVAL(i) != BPF_X;
	default: /* BPF_MISC */
		return i->code == (BPF_MISC | BPF_TAX) ||
		       i->code == (BPF_MISC | BPF_TXA);
	}
}

/* A word of memory is read only after it was written, in program order: more
 * than that (each way of jumping by itself) Linux wants, too, and a program
 * that a compiler made has it. What was not written reads as 0 here. */
static bool has_written(uint16_t written, const struct sock_filter *i)
{
	bool reads = (CLASS(i) == BPF_LD || CLASS(i) == BPF_LDX) &&
		     MODE(i) == BPF_MEM;

	return !reads || written >> i->k & 1;
}

bool bpf_is_valid(const struct sock_filter *v, uint32_t num)
{
	uint16_t written = 0;

	if (!num || num > BPF_MAX_LEN)
		return false;
	for (uint32_t at = 0; at < num; at++) {
		if (!is_instruction(&v[at], at, num) ||
		    !has_written(written, &v[at]))
			return false;
		if (CLASS(&v[at]) == BPF_ST || CLASS(&v[at]) == BPF_STX)
			written |= (uint16_t)(1u << v[at].k);
	}
	return CLASS(&v[num - 1]) == BPF_RET;
}

/* --- running it --- */

struct machine {
	const struct bpf_pkt *p;
	uint32_t a, x, m[BPF_MEMWORDS];
	bool is_over; /* a load from where nothing is */
};

static uint32_t known(struct machine *m, uint32_t what)
{
	switch (what) {
	case SKF_AD_PROTOCOL:
		return m->p->proto;
	case SKF_AD_IFINDEX:
		return m->p->ifindex;
	case SKF_AD_ALU_XOR_X:
		return m->a ^ m->x;
	case SKF_AD_PAY_OFFSET: /* what is in front depends on the socket */
	case SKF_AD_NLATTR:
	case SKF_AD_NLATTR_NEST:
		m->is_over = true;
		return 0;
	default: /* packet type, mark, queue, hash, CPU, VLAN */
		return 0;
	}
}

static uint32_t load(struct machine *m, uint32_t off, uint32_t size)
{
	const uint8_t *from = m->p->data;
	uint32_t len = m->p->len;

	if ((int32_t)off < 0 && off >= (uint32_t)SKF_AD_OFF)
		return known(m, off - (uint32_t)SKF_AD_OFF);
	if ((int32_t)off < 0 && off >= (uint32_t)SKF_NET_OFF && m->p->net) {
		off -= (uint32_t)SKF_NET_OFF;
		len += (uint32_t)(from - m->p->net);
		from = m->p->net;
	}
	if (off > len || size > len - off) {
		m->is_over = true;
		return 0;
	}
	from += off;
	return size == 4 ? get_be32(from) : size == 2 ? get_be16(from) : *from;
}

static uint32_t value(struct machine *m, const struct sock_filter *i)
{
	uint32_t size = SIZE(i) == BPF_W ? 4 : SIZE(i) == BPF_H ? 2 : 1;

	switch (MODE(i)) {
	case BPF_IMM:
		return i->k;
	case BPF_LEN:
		return m->p->len;
	case BPF_MEM:
		return m->m[i->k];
	case BPF_MSH: /* length of an IPv4 header */
		return (load(m, i->k, 1) & 15) * 4;
	case BPF_IND:
		return load(m, m->x + i->k, size);
	default:
		return load(m, i->k, size);
	}
}

static void compute(struct machine *m, const struct sock_filter *i)
{
	uint32_t v = SRC(i) == BPF_X ? m->x : i->k;

	switch (OP(i)) {
	case BPF_ADD:
		m->a += v;
		break;
	case BPF_SUB:
		m->a -= v;
		break;
	case BPF_MUL:
		m->a *= v;
		break;
	case BPF_DIV:
	case BPF_MOD:
		if (!v)
			m->is_over = true;
		else
			m->a = OP(i) == BPF_DIV ? m->a / v : m->a % v;
		break;
	case BPF_OR:
		m->a |= v;
		break;
	case BPF_AND:
		m->a &= v;
		break;
	case BPF_XOR:
		m->a ^= v;
		break;
	case BPF_LSH:
		m->a = m->a << (v & 31);
		break;
	case BPF_RSH:
		m->a = m->a >> (v & 31);
		break;
	default: /* BPF_NEG */
		m->a = -m->a;
	}
}

static uint32_t jump(const struct machine *m, const struct sock_filter *i)
{
	uint32_t v = SRC(i) == BPF_X ? m->x : i->k;
	bool is_true;

	switch (OP(i)) {
	case BPF_JA:
		return i->k;
	case BPF_JEQ:
		is_true = m->a == v;
		break;
	case BPF_JGT:
		is_true = m->a > v;
		break;
	case BPF_JGE:
		is_true = m->a >= v;
		break;
	default: /* BPF_JSET */
		is_true = m->a & v;
	}
	return is_true ? i->jt : i->jf;
}

uint32_t bpf_run(const struct sock_filter *v, const struct bpf_pkt *p)
{
	struct machine m = {.p = p};

	for (const struct sock_filter *i = v; !m.is_over; i++) {
		switch (CLASS(i)) {
		case BPF_LD:
			m.a = value(&m, i);
			break;
		case BPF_LDX:
			m.x = value(&m, i);
			break;
		case BPF_ST:
			m.m[i->k] = m.a;
			break;
		case BPF_STX:
			m.m[i->k] = m.x;
			break;
		case BPF_ALU:
			compute(&m, i);
			break;
		case BPF_JMP:
			i += jump(&m, i);
			break;
		case BPF_RET:
			return RVAL(i) == BPF_A ? m.a : i->k;
		default:
			if (i->code == (BPF_MISC | BPF_TAX))
				m.x = m.a;
			else
				m.a = m.x;
		}
	}
	return 0;
}
