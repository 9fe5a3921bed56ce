-- Wireshark's dissector for sapwood's tunnel: UDP between two nodes, whose payload is one IP packet or a probe.
--
--   wireshark -X lua_script:sapwood.lua capture.pcapng          once
--   cp sapwood.lua ~/.local/lib/wireshark/plugins/              for good
--
-- The port is a preference of the protocol (50103 unless changed). The layout of a probe is that of
-- assembly/shared/layout/probe.ts.

local sapwood = Proto("sapwood", "Sapwood tunnel")

local types = { [1] = "request", [2] = "reply" }
local fields = {
  magic = ProtoField.string("sapwood.probe.magic", "Magic"),
  version = ProtoField.uint8("sapwood.probe.version", "Version"),
  type = ProtoField.uint8("sapwood.probe.type", "Type", base.DEC, types),
  node = ProtoField.uint32("sapwood.probe.node", "Node index, masked", base.HEX),
  nonce = ProtoField.uint64("sapwood.probe.nonce", "Nonce", base.HEX),
  abilities = ProtoField.uint32("sapwood.probe.abilities", "Abilities", base.HEX),
  takes_ecn = ProtoField.bool("sapwood.probe.takes_ecn", "Takes over the outer ECN field", 8, nil, 1),
  tells_health = ProtoField.bool("sapwood.probe.tells_health", "Tells the health of its instances", 8, nil, 2),
  asks_page = ProtoField.bool("sapwood.probe.asks_page", "Asks for a health page", 8, nil, 4),
  page = ProtoField.uint32("sapwood.probe.page", "Page asked for, or revision of what is told"),
  padding = ProtoField.uint32("sapwood.probe.padding", "Padding or health page, in bytes"),
}
local malformed = ProtoExpert.new("sapwood.malformed", "Neither an IP packet nor a probe", expert.group.MALFORMED, expert.severity.ERROR)
sapwood.fields = { fields.magic, fields.version, fields.type, fields.node, fields.nonce, fields.abilities, fields.takes_ecn, fields.tells_health, fields.asks_page, fields.page, fields.padding }
sapwood.experts = { malformed }
sapwood.prefs.port = Pref.uint("UDP port", 50103, "Port of the tunnel (node.underlay.port)")

local PROBE_SIZE = 24
local ip = Dissector.get("ip")
local ipv6 = Dissector.get("ipv6")

local function probe(buffer, pinfo, root)
  local tree = root:add(sapwood, buffer(), "Sapwood probe")
  tree:add(fields.magic, buffer(0, 2))
  tree:add(fields.version, buffer(2, 1))
  tree:add(fields.type, buffer(3, 1))
  tree:add_le(fields.node, buffer(4, 4))
  tree:add_le(fields.nonce, buffer(8, 8))
  local abilities = tree:add_le(fields.abilities, buffer(16, 4))
  abilities:add(fields.takes_ecn, buffer(16, 1))
  abilities:add(fields.tells_health, buffer(16, 1))
  abilities:add(fields.asks_page, buffer(16, 1))
  tree:add_le(fields.page, buffer(20, 4))
  local padding = buffer:len() - PROBE_SIZE
  if padding > 0 then tree:add(fields.padding, buffer(PROBE_SIZE), padding) end
  pinfo.cols.protocol = "SAPWOOD"
  pinfo.cols.info = "Probe " .. (types[buffer(3, 1):uint()] or "of unknown type") .. " of " .. buffer:len() .. " bytes"
end

function sapwood.dissector(buffer, pinfo, root)
  if buffer:len() == 0 then return 0 end
  local version = buffer(0, 1):bitfield(0, 4)
  if version == 4 or version == 6 then
    root:add(sapwood, buffer(), "Sapwood tunnel: one IP packet")
    local inner = version == 4 and ip or ipv6
    return inner:call(buffer, pinfo, root)
  end
  if buffer:len() >= PROBE_SIZE and buffer(0, 2):string() == "SW" then
    probe(buffer, pinfo, root)
  else
    pinfo.cols.protocol = "SAPWOOD"
    root:add(sapwood, buffer()):add_proto_expert_info(malformed)
  end
  return buffer:len()
end

local ports = DissectorTable.get("udp.port")
local registered = sapwood.prefs.port
ports:add(registered, sapwood)

function sapwood.prefs_changed()
  if registered == sapwood.prefs.port then return end
  ports:remove(registered, sapwood)
  registered = sapwood.prefs.port
  ports:add(registered, sapwood)
end
