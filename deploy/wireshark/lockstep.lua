-- Lockstep in Wireshark and tshark, version 4.0 or later. docs/protocol.md has the bytes.
--
-- Copy this file into the folder of personal Lua plugins (Help > About > Folders), or:
--   tshark -X lua_script:lockstep.lua -r capture.pcap
--
-- It finds packets by how they begin, whatever their ports, and by port 7401. A node's own port is drawn at random and may
-- be known to Wireshark as that of another protocol: -o udp.try_heuristic_first:TRUE asks this file first. Encrypted packets
-- show their header; `lockstep decode --keys` decrypts.

local lockstep = Proto("lockstep", "Lockstep replication")

local MAGIC = 0x4c4b5354
local VERSION = 1
local HEADER = 57
local MARK = 16
local FRAME = 43
local SIGNATURE = 66
local MAX_DEPTH = 6
local TWO32 = 4294967296
local MAX_SAFE = 9007199254740991

local kinds = {
  [1] = "fragment-request",
  [2] = "path-probe",
  [3] = "path-answer",
  [4] = "path-mark",
  [5] = "path-report",
  [16] = "survey",
  [17] = "report",
  [18] = "claim",
  [19] = "promise",
  [20] = "join",
  [21] = "welcome",
  [22] = "refusal",
  [23] = "leave",
  [24] = "status",
  [25] = "heartbeat",
  [26] = "clock-request",
  [27] = "clock",
  [48] = "announce",
  [49] = "prepare",
  [50] = "vote",
  [51] = "commit",
  [52] = "abort",
  [53] = "inquiry",
  [54] = "resolution",
  [55] = "arming",
  [80] = "delta-request",
  [81] = "deltas",
  [82] = "too-old",
  [83] = "bulk-offer",
  [84] = "snapshot-request",
}

local function family(kind)
  if kind <= 15 then return "transport" end
  if kind <= 47 then return "session" end
  if kind <= 79 then return "replication" end
  return "delta"
end

local words = {
  role = { [0] = "master", "slave" },
  refusal_reason = { [0] = "name-taken", "cloned-store", "group-full", "forgotten" },
  state = { [0] = "current", "serving", "catching up", "diverged", "failed" },
  heal = { [0] = "nobody", "majority", "operator" },
  decision = { [0] = "committed", "aborted" },
  outcome = { [0] = "committed", "aborted", "superseded", "unknown" },
  content_kind = { [0] = "version", "state", "change", "chain" },
  bulk_mode = { [0] = "deltas", "snapshot" },
}

-- ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────

local fields = {}

local function field(make, name, title, ...)
  fields[name] = make("lockstep." .. name, title, ...)
end

field(ProtoField.uint8, "wire_version", "Wire version")
field(ProtoField.uint8, "flags", "Flags", base.HEX)
field(ProtoField.uint16, "key_id", "Key id")
field(ProtoField.bytes, "store_id", "Store id")
field(ProtoField.uint64, "start", "Start counter")
field(ProtoField.uint64, "sequence", "Packet sequence")
field(ProtoField.bytes, "tag", "Tag")
field(ProtoField.uint32, "checksum", "Checksum", base.HEX)
field(ProtoField.string, "checksum_status", "Checksum status")
field(ProtoField.string, "node", "Node")
field(ProtoField.uint64, "mark_started", "Process started (wall clock, ms)")
field(ProtoField.bytes, "mark_salt", "Process salt")
field(ProtoField.bool, "encrypted", "Encrypted")
field(ProtoField.bytes, "ciphertext", "Encrypted frames")
field(ProtoField.uint8, "kind", "Kind", base.DEC, kinds)
field(ProtoField.string, "family", "Family")
field(ProtoField.bool, "signed", "Signed", 8, nil, 0x01)
field(ProtoField.uint8, "frame_flags", "Frame flags", base.HEX)
field(ProtoField.uint32, "message_id", "Message id")
field(ProtoField.uint16, "fragment_index", "Fragment index")
field(ProtoField.uint16, "fragment_count", "Fragment count")
field(ProtoField.uint32, "total_length", "Total body length")
field(ProtoField.uint32, "body_length", "Body length in this frame")
field(ProtoField.uint64, "epoch", "Epoch")
field(ProtoField.bytes, "claimant", "Epoch's claimant")
field(ProtoField.string, "data_set", "Data set")
field(ProtoField.bytes, "fragment", "Fragment of the body")
field(ProtoField.uint16, "signature_key", "Signature's key id")
field(ProtoField.bytes, "signature", "Signature")
field(ProtoField.string, "refused", "A node refuses it")

-- Tips: what a message starts from, leads to, or is at.
for name, title in pairs({ from = "From", to = "To", tip = "Tip", committed = "Committed" }) do
  field(ProtoField.uint64, name .. "_version", title .. ": version")
  field(ProtoField.uint64, name .. "_epoch", title .. ": epoch")
  field(ProtoField.bytes, name .. "_chain", title .. ": chain id")
end

field(ProtoField.uint64, "round", "Round")
field(ProtoField.uint64, "round_epoch", "Round's epoch")
field(ProtoField.uint64, "promised_epoch", "Promised epoch")
field(ProtoField.uint64, "lowest_open_round", "Lowest open round")
field(ProtoField.bytes, "voters", "Voters (bits of slots)")
field(ProtoField.bytes, "missing", "Missing votes (bits of slots)")
field(ProtoField.bytes, "digest", "Digest")
field(ProtoField.bytes, "content", "Content")
field(ProtoField.bytes, "token", "Token")
field(ProtoField.bytes, "of_store_id", "Store id of the message's sender")
field(ProtoField.uint64, "of_start", "Start counter of the message's sender")
field(ProtoField.uint64, "number", "Number")
field(ProtoField.string, "text", "Text")
field(ProtoField.bool, "granted", "Granted")
field(ProtoField.bool, "claimant_leads", "Claimant leads")
field(ProtoField.bool, "up_to_date", "Up to date")
field(ProtoField.bool, "can_process", "Can process")
field(ProtoField.bool, "acknowledge", "Acknowledge at once")
field(ProtoField.bool, "on_chain", "On the chain")
field(ProtoField.uint64, "slot", "Slot")
field(ProtoField.double, "lease", "Lease (ms)")
field(ProtoField.double, "sent", "Sent (master's clock, ms)")
field(ProtoField.double, "request_sent", "Request sent (asker's clock, ms)")
field(ProtoField.double, "received", "Received (group time, ms)")
field(ProtoField.double, "group_sent", "Sent (group time, ms)")
field(ProtoField.uint64, "era", "Era of the master's clock")
field(ProtoField.double, "next_in", "Next heartbeat within (ms)")
field(ProtoField.bool, "asks", "Asks everybody for a status")
field(ProtoField.uint64, "activate_at", "Activates at (group time, ms)")
field(ProtoField.uint64, "arming_order", "Order of the arming")
field(ProtoField.bool, "armed", "Armed")
field(ProtoField.double, "exposed_at", "Exposed at (group time, ms)")
field(ProtoField.double, "clock_error", "Clock error (ms)")
field(ProtoField.uint64, "heartbeat", "Sequence of a heartbeat (0: none)")
field(ProtoField.bytes, "acknowledged", "Slots that echoed it")
field(ProtoField.bytes, "member_store_id", "Store id of the member")
field(ProtoField.uint64, "member_start", "Start counter of the member")
field(ProtoField.uint64, "message_sequence", "Sequence of this kind of message")
field(ProtoField.uint64, "window", "Receive window (bytes)")
field(ProtoField.uint64, "repairs", "Repairs")
field(ProtoField.uint64, "snapshots", "Snapshots")
field(ProtoField.uint64, "exposed", "Version exposed there (0: none)")
field(ProtoField.uint64, "refused_operation", "Refused operation")
field(ProtoField.string, "reason", "Reason")
field(ProtoField.uint64, "request", "Request")
field(ProtoField.uint64, "port", "TCP port")
field(ProtoField.uint64, "probe", "Number of the probe")
field(ProtoField.bool, "by_group", "The probe came by multicast")
field(ProtoField.bool, "hears_group", "Hears the group")
field(ProtoField.uint64, "range_first", "First missing fragment")
field(ProtoField.uint64, "range_count", "Missing fragments")
field(ProtoField.string, "hears", "Hears master")
for name in pairs(words) do
  field(ProtoField.string, name, (name:gsub("_", " "):gsub("^%l", string.upper)))
end

local list = {}
for _, one in pairs(fields) do list[#list + 1] = one end
lockstep.fields = list

local experts = {
  refused = ProtoExpert.new("lockstep.expert.refused", "A node refuses this datagram", expert.group.MALFORMED, expert.severity.ERROR),
  checksum = ProtoExpert.new("lockstep.expert.checksum", "Wrong checksum", expert.group.CHECKSUM, expert.severity.ERROR),
  cut = ProtoExpert.new("lockstep.expert.cut", "The capture doesn't hold the whole packet", expert.group.UNDECODED, expert.severity.NOTE),
  encrypted = ProtoExpert.new("lockstep.expert.encrypted", "Encrypted: lockstep decode --keys decrypts", expert.group.DECRYPTION, expert.severity.NOTE),
  veto = ProtoExpert.new("lockstep.expert.veto", "A slave refuses the change", expert.group.RESPONSE_CODE, expert.severity.NOTE),
}
lockstep.experts = { experts.refused, experts.checksum, experts.cut, experts.encrypted, experts.veto }

-- ── bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

-- All reading is from one Lua string, whose positions are checked first; positions count from 0, as in the document.
local function byte(s, at) return string.byte(s, at + 1) or 0 end
local function u16(s, at) return byte(s, at) * 256 + byte(s, at + 1) end
local function u32(s, at) return u16(s, at) * 65536 + u16(s, at + 2) end
local function u64(s, at) return u32(s, at) * TWO32 + u32(s, at + 4) end

local function is_safe(value) return value >= 0 and value <= MAX_SAFE end

-- Lua 5.2 has bit32, later ones an operator that 5.2 can't even read.
local bxor = bit32 and bit32.bxor
  or bit and function(a, b) return bit.bxor(a, b) % TWO32 end
  or load("return function(a, b) return a ~ b end")()

local crc_table = {}
for index = 0, 255 do
  local value = index
  for _ = 1, 8 do
    local odd = value % 2
    value = (value - odd) / 2
    if odd == 1 then value = bxor(math.floor(value), 0xedb88320) end
  end
  crc_table[index] = math.floor(value)
end

-- Of what stands before the tag and behind it.
local function checksum(s)
  local crc = 0xffffffff
  for at = 0, #s - 1 do
    if at < 40 or at >= 56 then
      local low = crc % 256
      crc = bxor(math.floor((crc - low) / 256), crc_table[bxor(low, byte(s, at))])
    end
  end
  return bxor(crc, 0xffffffff)
end

-- ── msgpack ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- One value at `at`, which ends before `stop`: { type, at, length, value or items }, or nil. Only what the protocol allows.
local read_value

local function sized(kind, s, at, head, length, stop)
  if at + head + length > stop then return nil end
  return { type = kind, at = at, length = head + length, from = at + head, size = length, value = s:sub(at + head + 1, at + head + length) }
end

local function read_array(s, at, head, count, stop, depth)
  if depth >= MAX_DEPTH or count > stop - at - head then return nil end
  local items = {}
  local position = at + head
  for index = 1, count do
    local item = read_value(s, position, stop, depth + 1)
    if item == nil then return nil end
    items[index] = item
    position = position + item.length
  end
  return { type = "array", at = at, length = position - at, items = items }
end

local function number(at, length, value) return { type = "number", at = at, length = length, value = value } end

local function float(s, at, tvb, length)
  return number(at, 1 + length, tvb(at + 1, length):float())
end

-- The packet at hand: floats are read by Wireshark.
local current_tvb

read_value = function(s, at, stop, depth)
  if at >= stop then return nil end
  local marker = byte(s, at)
  if marker < 0x80 then return number(at, 1, marker) end
  if marker >= 0xe0 then return number(at, 1, marker - 256) end
  if marker < 0x90 then return nil end
  if marker < 0xa0 then return read_array(s, at, 1, marker - 0x90, stop, depth) end
  if marker < 0xc0 then return sized("text", s, at, 1, marker - 0xa0, stop) end
  if marker == 0xc0 then return { type = "nil", at = at, length = 1 } end
  if marker == 0xc2 or marker == 0xc3 then return { type = "bool", at = at, length = 1, value = marker == 0xc3 } end
  local needs = ({ [0xc4] = 1, [0xc5] = 2, [0xc6] = 4, [0xca] = 4, [0xcb] = 8, [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8, [0xd0] = 1,
    [0xd1] = 2, [0xd2] = 4, [0xd3] = 8, [0xd9] = 1, [0xda] = 2, [0xdb] = 4, [0xdc] = 2, [0xdd] = 4 })[marker]
  if needs == nil or at + 1 + needs > stop then return nil end
  local value = needs == 1 and byte(s, at + 1) or needs == 2 and u16(s, at + 1) or needs == 4 and u32(s, at + 1) or u64(s, at + 1)
  if marker == 0xca or marker == 0xcb then return float(s, at, current_tvb, needs) end
  if marker >= 0xcc and marker <= 0xcf then return number(at, 1 + needs, value) end
  if marker >= 0xd0 and marker <= 0xd3 then
    local bound = 2 ^ (8 * needs)
    return number(at, 1 + needs, value >= bound / 2 and value - bound or value)
  end
  if marker <= 0xc6 then return sized("bin", s, at, 1 + needs, value, stop) end
  if marker <= 0xdb then return sized("text", s, at, 1 + needs, value, stop) end
  return read_array(s, at, 1 + needs, value, stop, depth)
end

-- ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Each shows one element and returns what the Info column may use, or nil when the element isn't what it should be.
local show = {}

local function range_of(tvb, item) return tvb(item.at, item.length) end

-- What a field of 64 bits takes.
local function uint64(value) return UInt64.new(value % TWO32, math.floor(value / TWO32)) end

local function count_of(name, most)
  return function(c, item)
    if item.type ~= "number" or item.value ~= math.floor(item.value) or not is_safe(item.value) then return nil end
    if most ~= nil and item.value > most then return nil end
    local value = math.floor(item.value)
    c.tree:add(fields[name], range_of(c.tvb, item), name == "message_id" and value or uint64(value))
    c.said[name] = string.format("%.0f", value)
    return true
  end
end

local function stamp_of(name)
  return function(c, item)
    if item.type ~= "number" or item.value ~= item.value or item.value == math.huge or item.value == -math.huge then return nil end
    c.tree:add(fields[name], range_of(c.tvb, item), item.value)
    return true
  end
end

local function bool_of(name)
  return function(c, item)
    if item.type ~= "bool" then return nil end
    c.tree:add(fields[name], range_of(c.tvb, item), item.value)
    c.said[name] = item.value
    return true
  end
end

local function text_of(name)
  return function(c, item)
    if item.type ~= "text" then return nil end
    c.tree:add(fields[name], c.tvb(item.at, item.length), item.value)
    c.said[name] = item.value
    return true
  end
end

local function word_of(name)
  return function(c, item)
    local word = item.type == "number" and words[name][item.value] or nil
    if word == nil then return nil end
    c.tree:add(fields[name], range_of(c.tvb, item), word)
    c.said[name] = word
    return true
  end
end

local function bytes_of(name, size)
  return function(c, item)
    if item.type ~= "bin" or (size ~= nil and item.size ~= size) then return nil end
    -- An empty range would stand for all that follows.
    if item.size > 0 then c.tree:add(fields[name], c.tvb(item.from, item.size)) end
    return true
  end
end

-- A tip, or nil where there may be none; 0 where it is implied.
local function tip_of(name, options)
  return function(c, item)
    if item.type == "nil" and options.optional then
      c.tree:add(range_of(c.tvb, item), name .. ": nothing")
      c.said[name] = "nothing"
      return true
    end
    if item.type == "number" and item.value == 0 and options.implied then return true end
    if item.type ~= "bin" or item.size ~= 48 then return nil end
    local epoch, version = u64(item.value, 0), u64(item.value, 24)
    if not is_safe(epoch) or not is_safe(version) or version < 1 then return nil end
    local tree = c.tree:add(range_of(c.tvb, item), string.format("%s: e%d v%d", name, epoch, version))
    tree:add(fields[name .. "_version"], c.tvb(item.from + 24, 8))
    tree:add(fields[name .. "_epoch"], c.tvb(item.from, 8))
    tree:add(fields[name .. "_chain"], c.tvb(item.from + 32, 16))
    c.said[name] = string.format("v%d", version)
    return true
  end
end

local function epoch_of(c, item)
  if item.type ~= "bin" or item.size ~= 24 or not is_safe(u64(item.value, 0)) then return nil end
  c.tree:add(fields.promised_epoch, c.tvb(item.from, 8))
  c.said.promised = string.format("e%d", u64(item.value, 0))
  return true
end

-- What the name of a round begins with, of the epoch at `at`: 3.1f0c9a77, as status, history and `lockstep resolve` have it.
local function reign_of(s, at)
  return string.format("%d.%02x%02x%02x%02x", u64(s, at), byte(s, at + 8), byte(s, at + 9), byte(s, at + 10), byte(s, at + 11))
end

local function round_of(options)
  return function(c, item)
    if item.type == "nil" and options.optional then return true end
    if item.type ~= "bin" or item.size ~= 32 then return nil end
    local epoch, round = u64(item.value, 0), u64(item.value, 24)
    if not is_safe(epoch) or not is_safe(round) then return nil end
    local name = string.format("%s.%d", reign_of(item.value, 0), round)
    local tree = c.tree:add(range_of(c.tvb, item), "round: " .. name)
    tree:add(fields.round, c.tvb(item.from + 24, 8))
    tree:add(fields.round_epoch, c.tvb(item.from, 8))
    c.said.round = name
    return true
  end
end

-- An array whose elements come in groups, each shown in a tree of its own.
local function list_of(title, width, most, readers)
  return function(c, item)
    if item.type ~= "array" or #item.items % width ~= 0 or #item.items / width > most then return nil end
    local tree = c.tree:add(range_of(c.tvb, item), string.format("%s: %d", title, #item.items / width))
    for index = 1, #item.items, width do
      local inner = { tvb = c.tvb, tree = tree, said = {} }
      for offset = 1, width do
        if readers[offset](inner, item.items[index + offset - 1]) == nil then return nil end
      end
    end
    return true
  end
end

local function optional_list_of(title, readers)
  return function(c, item)
    if item.type == "nil" then return true end
    if item.type ~= "array" or #item.items ~= #readers then return nil end
    return list_of(title, #readers, 1, readers)(c, item)
  end
end

local refs =
  list_of("Prepared rounds", 4, 256, { round_of({}), tip_of("from", { optional = true }), tip_of("to", {}), bool_of("armed") })

local function delta(c, item, implied_from, implied_to)
  if item.type ~= "array" or #item.items ~= 4 then return nil end
  local tree = c.tree:add(range_of(c.tvb, item), "Delta")
  local inner = { tvb = c.tvb, tree = tree, said = {} }
  if tip_of("from", { optional = true, implied = implied_from })(inner, item.items[1]) == nil then return nil end
  if tip_of("to", { implied = implied_to })(inner, item.items[2]) == nil then return nil end
  if bytes_of("digest", 16)(inner, item.items[3]) == nil then return nil end
  local content = item.items[4]
  if bytes_of("content")(inner, content) == nil then return nil end
  tree:append_text(string.format(", %d bytes", content.size))
  return content.size, inner.said
end

local function deltas_of(most)
  return function(c, item)
    if item.type ~= "array" or #item.items > most then return nil end
    local bytes = 0
    for index, step in ipairs(item.items) do
      local size, said = delta(c, step, index > 1, false)
      if size == nil then return nil end
      if index == 1 then c.said.from = said.from end
      c.said.to = said.to or c.said.to
      bytes = bytes + size
    end
    c.said.steps, c.said.bytes = #item.items, bytes
    return true
  end
end

local function content(c, item)
  local kind = c.said.content_kind
  if kind == "version" then return item.type == "nil" or nil end
  if kind == "chain" then
    local from, to = c.said.from, c.said.to
    local held = deltas_of(16)(c, item)
    c.said.from, c.said.to = from, to
    return held
  end
  local size = delta(c, item, true, true)
  c.said.bytes = size
  return size
end

local function hears(c, item)
  if item.type == "nil" then return true end
  if item.type ~= "array" or #item.items ~= 3 or item.items[1].type ~= "text" then return nil end
  if item.items[2].type ~= "bin" or item.items[2].size ~= 16 or item.items[3].type ~= "number" then return nil end
  c.tree:add(fields.hears, range_of(c.tvb, item), item.items[1].value)
  return true
end

local optional, required = { optional = true }, {}
local lowest_open_round = count_of("lowest_open_round")
local from, to, at_tip = tip_of("from", optional), tip_of("to", required), tip_of("tip", optional)
local content_kind = word_of("content_kind")

-- A number where there may be none.
local function optional_of(read)
  return function(c, item)
    if item.type == "nil" then return true end
    return read(c, item)
  end
end

local arming = {
  round_of(required), to, count_of("activate_at"), bytes_of("voters"), count_of("arming_order"), bool_of("armed"),
}

local bodies = {
  ["fragment-request"] = {
    bytes_of("of_store_id", 16), count_of("of_start"), count_of("message_id", TWO32 - 1),
    list_of("Missing", 2, 128, { count_of("range_first", 65535), count_of("range_count", 65535) }),
  },
  ["path-probe"] = { count_of("probe") },
  ["path-answer"] = { count_of("probe"), bool_of("by_group") },
  ["path-mark"] = {},
  ["path-report"] = { bool_of("hears_group") },
  survey = {},
  report = { word_of("role"), epoch_of, at_tip, refs, hears },
  claim = { at_tip },
  promise = { bool_of("granted"), epoch_of, bool_of("claimant_leads"), at_tip, refs },
  join = { at_tip, epoch_of, refs },
  welcome = {
    count_of("slot", 4095), stamp_of("lease"), bytes_of("member_store_id", 16), count_of("member_start"), count_of("heartbeat"),
  },
  refusal = { word_of("refusal_reason"), text_of("text") },
  leave = {},
  status = {
    count_of("message_sequence"), at_tip, refs, word_of("state"),
    optional_list_of("Echo", { count_of("message_sequence"), stamp_of("sent"), stamp_of("sent"), stamp_of("sent") }),
    count_of("window"), count_of("repairs"), count_of("snapshots"),
    optional_list_of("Arming", { round_of(required), count_of("arming_order"), bool_of("armed") }),
    optional_list_of("Activation", { round_of(required), optional_of(stamp_of("exposed_at")), stamp_of("clock_error") }),
  },
  heartbeat = {
    count_of("message_sequence"), stamp_of("sent"), at_tip, lowest_open_round,
    list_of("Open rounds", 3, 64, { count_of("round"), to, bytes_of("missing") }),
    list_of("Decisions", 3, 64, { round_of(required), to, word_of("decision") }),
    word_of("heal"), stamp_of("lease"), stamp_of("next_in"), bool_of("asks"),
    list_of("Acknowledged", 2, 64, { count_of("heartbeat"), bytes_of("acknowledged") }),
    optional_list_of("Arming", arming),
  },
  ["clock-request"] = { stamp_of("request_sent") },
  clock = {
    bytes_of("member_store_id", 16), count_of("member_start"), stamp_of("request_sent"), stamp_of("received"),
    stamp_of("group_sent"), count_of("era"),
  },
  announce = { from, to, content_kind, content },
  prepare = {
    count_of("round"), from, to, bytes_of("voters"), lowest_open_round, tip_of("committed", { optional = true, implied = true }),
    optional_of(count_of("activate_at")), content_kind, content,
  },
  vote = {
    round_of(required), to, bool_of("up_to_date"), bool_of("can_process"), text_of("reason"), count_of("exposed"),
    list_of("Refused operations", 1, 4096, { count_of("refused_operation") }),
  },
  commit = { round_of(required), to, lowest_open_round, bool_of("acknowledge") },
  abort = { round_of(required), to, lowest_open_round },
  inquiry = { round_of(required), from, to },
  resolution = { round_of(required), to, word_of("outcome") },
  arming = arming,
  ["delta-request"] = { count_of("request"), from, tip_of("to", optional), round_of(optional) },
  deltas = { count_of("request"), deltas_of(4096) },
  ["too-old"] = { count_of("request"), from, bool_of("on_chain") },
  ["bulk-offer"] = { count_of("request"), word_of("bulk_mode"), from, to, count_of("port", 65535), bytes_of("token", 16) },
  ["snapshot-request"] = { count_of("request") },
}

-- For the Info column: the kind, and what of it matters most.
local function summary(kind, said, reign)
  local text = kind
  if kind == "delta-request" and said.to == "nothing" then said.to = "newest" end
  if kind == "prepare" then text = string.format("%s %s.%s", text, reign, said.round or "?")
  elseif said.round ~= nil then text = text .. " " .. said.round end
  if said.from ~= nil and said.to ~= nil then text = text .. " " .. said.from .. " → " .. said.to
  elseif said.to ~= nil or said.tip ~= nil then text = text .. " " .. (said.to or said.tip) end
  if said.content_kind ~= nil then text = text .. " (" .. said.content_kind .. (said.bytes and ", " .. said.bytes .. " bytes" or "") .. ")" end
  if kind == "vote" then text = text .. (said.up_to_date and said.can_process and " yes" or " no") end
  for _, name in ipairs({ "role", "state", "outcome", "refusal_reason", "bulk_mode" }) do
    if said[name] ~= nil then text = text .. " " .. said[name] end
  end
  if kind == "promise" then text = text .. (said.granted and " granted" or " refused") end
  if said.reason ~= nil and said.reason ~= "" then text = text .. ": " .. said.reason end
  return text
end

-- ── datagram ────────────────────────────────────────────────────────────────────────────────────────────────────────

local function refuse(tree, tvb, pinfo, reason)
  tree:add(fields.refused, tvb(0, 0), reason):set_generated()
  tree:add_proto_expert_info(experts.refused, "a node refuses this datagram: " .. reason)
  pinfo.cols.info:append(" [" .. reason .. "]")
end

local function body_of(c, s, kind, at, stop, reign)
  local array = read_value(s, at, stop, 0)
  local readers = bodies[kind]
  if array == nil or array.type ~= "array" or array.at + array.length ~= stop or #array.items ~= #readers then return nil end
  for index, reader in ipairs(readers) do
    if reader(c, array.items[index]) == nil then return nil end
  end
  return summary(kind, c.said, reign)
end

-- One frame at `at`: the position behind it, or nil and the reason of the refusal.
local function frame(tvb, pinfo, root, s, at, texts)
  if at + FRAME > #s then return nil, "truncated" end
  local ordinal, flags = byte(s, at), byte(s, at + 1)
  local kind = kinds[ordinal]
  local index, count = u16(s, at + 6), u16(s, at + 8)
  local total, length = u32(s, at + 10), u32(s, at + 14)
  local epoch = u64(s, at + 18)
  local body_at = at + FRAME + byte(s, at + 42)
  local stop = body_at + length
  if stop > #s then return nil, "truncated" end
  local data_set = s:sub(at + FRAME + 1, body_at)
  local title = string.format("Frame: %s", kind or ("kind " .. ordinal))
  local tree = root:add(tvb(at, stop - at), title)
  tree:add(fields.kind, tvb(at, 1))
  tree:add(fields.family, tvb(at, 1), family(ordinal))
  local flag_tree = tree:add(fields.frame_flags, tvb(at + 1, 1))
  flag_tree:add(fields.signed, tvb(at + 1, 1))
  tree:add(fields.message_id, tvb(at + 2, 4))
  tree:add(fields.fragment_index, tvb(at + 6, 2))
  tree:add(fields.fragment_count, tvb(at + 8, 2))
  tree:add(fields.total_length, tvb(at + 10, 4))
  tree:add(fields.body_length, tvb(at + 14, 4))
  tree:add(fields.epoch, tvb(at + 18, 8))
  tree:add(fields.claimant, tvb(at + 26, 16))
  if body_at > at + FRAME then tree:add(fields.data_set, tvb(at + FRAME, body_at - at - FRAME)) end
  tree:append_text(string.format(", %s, e%.0f", data_set, epoch))
  -- Only keys make signatures, and what keys protect isn't read here.
  if #data_set == 0 or #data_set > 64 or not is_safe(epoch) or flags ~= 0 then return nil, "bad-frame" end
  if kind == nil then return nil, "unknown-kind" end
  local about = string.format("%s e%d: ", data_set, epoch)
  if count ~= 1 then
    if count == 0 or index >= count or ordinal <= 15 then return nil, "bad-frame" end
    if length > 0 then tree:add(fields.fragment, tvb(body_at, length)) end
    texts[#texts + 1] = string.format("%sfragment %d/%d of %s %d", about, index + 1, count, kind, u32(s, at + 2))
    tree:append_text(string.format(", fragment %d of %d", index + 1, count))
    return stop
  end
  if index ~= 0 or total ~= length then return nil, "bad-frame" end
  local c = { tvb = tvb, tree = tree, said = {} }
  local text = body_of(c, s, kind, body_at, stop, reign_of(s, at + 18))
  if text == nil then return nil, "bad-body" end
  if kind == "vote" and not (c.said.up_to_date and c.said.can_process) then
    tree:add_proto_expert_info(experts.veto, "no: " .. (c.said.reason or ""))
  end
  tree:append_text(": " .. text)
  texts[#texts + 1] = about .. text
  return stop
end

local function header(tvb, root, s, key_id, name_length)
  local tree = root:add(tvb(0, math.min(#s, HEADER + name_length)), "Header")
  tree:add(fields.wire_version, tvb(4, 1))
  tree:add(fields.flags, tvb(5, 1))
  tree:add(fields.key_id, tvb(6, 2))
  tree:add(fields.store_id, tvb(8, 16))
  tree:add(fields.start, tvb(24, 8))
  tree:add(fields.sequence, tvb(32, 8))
  if key_id == 0 then tree:add(fields.checksum, tvb(40, 4)) else tree:add(fields.tag, tvb(40, 16)) end
  if name_length > 0 and HEADER + name_length <= #s then tree:add(fields.node, tvb(HEADER, name_length)) end
  return tree
end

local function frames_of(tvb, pinfo, root, s, at)
  local texts = {}
  local reason
  while at ~= nil and at < #s do
    at, reason = frame(tvb, pinfo, root, s, at, texts)
  end
  pinfo.cols.info:append("  " .. table.concat(texts, " · "))
  if reason ~= nil then refuse(root, tvb, pinfo, reason) end
end

local function dissect(tvb, pinfo, tree)
  local length = tvb:captured_len()
  if length < 4 or tvb(0, 4):uint() ~= MAGIC then return 0 end
  current_tvb = tvb
  local s = tvb:raw(0, length)
  local root = tree:add(lockstep, tvb(0, length))
  pinfo.cols.protocol = "Lockstep"
  pinfo.cols.info = "Lockstep"
  local is_cut = length < tvb:reported_len()
  if is_cut then
    root:add_proto_expert_info(experts.cut)
    pinfo.cols.info:append(" [cut by the capture]")
  end
  if length < HEADER then
    if not is_cut then refuse(root, tvb, pinfo, "truncated") end
    return length
  end
  local key_id, name_length = u16(s, 6), byte(s, 56)
  local name_end = HEADER + name_length
  if byte(s, 4) ~= VERSION then
    root:add(fields.wire_version, tvb(4, 1))
    refuse(root, tvb, pinfo, "other-version")
    return length
  end
  local header_tree = header(tvb, root, s, key_id, name_length)
  local node = s:sub(HEADER + 1, name_end)
  pinfo.cols.info = string.format("%s #%.0f", node, u64(s, 32))
  root:append_text(string.format(", %s #%.0f", node, u64(s, 32)))
  local frames_at = name_end + (key_id == 0 and 0 or MARK)
  if length <= frames_at then
    if not is_cut then refuse(root, tvb, pinfo, "truncated") end
    return length
  end
  if name_length == 0 or name_length > 64 or byte(s, 5) ~= 0 or not is_safe(u64(s, 24)) or not is_safe(u64(s, 32)) then
    refuse(root, tvb, pinfo, "bad-header")
    return length
  end
  if key_id ~= 0 then
    header_tree:add(fields.mark_started, tvb(name_end, 8))
    header_tree:add(fields.mark_salt, tvb(name_end + 8, 8))
    root:add(fields.encrypted, tvb(6, 2), true):set_generated()
    root:add(fields.ciphertext, tvb(frames_at, length - frames_at))
    root:add_proto_expert_info(experts.encrypted)
    pinfo.cols.info:append(string.format("  encrypted with key %d, %d bytes", key_id, length - frames_at))
    return length
  end
  if not is_cut then
    local is_right = checksum(s) == u32(s, 40) and s:sub(45, 56) == string.rep("\0", 12)
    header_tree:add(fields.checksum_status, tvb(40, 16), is_right and "right" or "wrong"):set_generated()
    if not is_right then
      root:add_proto_expert_info(experts.checksum)
      refuse(root, tvb, pinfo, "bad-checksum")
    end
  end
  frames_of(tvb, pinfo, root, s, frames_at)
  return length
end

function lockstep.dissector(tvb, pinfo, tree) return dissect(tvb, pinfo, tree) end

lockstep:register_heuristic("udp", function(tvb, pinfo, tree) return dissect(tvb, pinfo, tree) > 0 end)
DissectorTable.get("udp.port"):add(7401, lockstep)
