import Ext2Format
import Testing

extension [UInt8] {
  func hasAttributes(_ region: AttributeRegion) -> Bool { reading { region.isPresent(in: $0) } }
  func attributes(_ region: AttributeRegion) throws(FormatError) -> AttributeSet {
    try reading { (span) throws(FormatError) in try AttributeSet(decoding: span, region, at: AttributeTests.place) }
  }
  func wrongHash(_ region: AttributeRegion) throws(FormatError) -> AttributeEntry? {
    try reading { (span) throws(FormatError) in try region.firstWrongHash(in: span, AttributeTests.place) }
  }
  func blockHash(_ region: AttributeRegion) throws(FormatError) -> UInt32 {
    try reading { (span) throws(FormatError) in try region.hash(in: span, AttributeTests.place) }
  }
  func storedBlockHash(_ region: AttributeRegion) -> UInt32 { reading { region.storedHash(in: $0) } }
  func word(_ offset: Int) -> UInt32 { reading { $0.integer(at: offset) } }
}

@Suite("Extended attributes")
struct AttributeTests {
  static let place = FormatError.Location.block(BlockNumber(rawValue: 7))

  static func name(_ text: String) throws -> AttributeName { try AttributeName(parsing: Array(text.utf8)) }

  /// A set from names and values.
  static func set(_ pairs: [(String, [UInt8])]) throws -> AttributeSet {
    var set = AttributeSet()
    for (text, value) in pairs { set[try name(text)] = value }
    return set
  }

  /// A region of its own and the bytes of a set in it.
  static func encoded(_ set: AttributeSet, _ region: AttributeRegion) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: region.end)
    bytes.changing { set.encode(into: &$0, region) }
    return bytes
  }

  // MARK: Names

  @Test(
    "a name is a known prefix and something behind it",
    arguments: [
      ("user.a", UInt8(1), "a"), ("trusted.overlay.opaque", 4, "overlay.opaque"), ("security.selinux", 6, "selinux"),
      ("system.posix_acl_access", 2, ""), ("system.posix_acl_default", 3, ""), ("user.user.", 1, "user."),
    ])
  func names(_ text: String, _ namespace: UInt8, _ suffix: String) throws {
    let name = try Self.name(text)
    #expect(name == AttributeName(AttributeNamespace(rawValue: namespace), Array(suffix.utf8)))
    #expect(name.text == Array(text.utf8))
  }

  @Test(
    "what is no name is refused as Linux refuses it",
    arguments: [
      ("", AttributeName.ParseError.badLength), (String(repeating: "u", count: 256), .badLength),
      ("user." + String(repeating: "a", count: 251), .badLength), ("user.", .malformed), ("user.a\0b", .malformed),
      ("user", .unknownPrefix), ("system.data", .unknownPrefix), ("system.posix_acl_access2", .unknownPrefix),
      ("btrfs.compression", .unknownPrefix), ("User.a", .unknownPrefix),
    ])
  func badNames(_ text: String, _ error: AttributeName.ParseError) {
    #expect(throws: error) { try AttributeName(parsing: Array(text.utf8)) }
  }

  @Test("a name of 255 bytes is the longest") func longestName() throws {
    #expect(try Self.name("user." + String(repeating: "a", count: 250)).suffix.count == 250)
  }

  @Test("names are ordered by family, then length, then bytes") func order() throws {
    let sorted = ["user.b", "user.aa", "user.ab", "system.posix_acl_access", "trusted.a", "security.a"]
    let names = try sorted.map { try Self.name($0) }
    #expect(names.shuffled().sorted() == names)
  }

  // MARK: Blocks and inodes

  static let regions: [AttributeRegion] =
    [1024, 4096, 65536].map { AttributeRegion(blockSize: $0) }
    + [(0, 256, 28), (256, 256, 32), (768, 256, 4), (512, 512, 32)].map {
      AttributeRegion(inodeAt: $0.0, inodeSize: $0.1, extraSize: $0.2)!
    }

  @Test("a set reads back as it was written, and writing it again changes nothing", arguments: regions)
  func roundTrip(region: AttributeRegion) throws {
    var set = try Self.set([("user.b", [1, 2, 3]), ("user.a", []), ("security.x", Array(0..<13))])
    if !region.isInInode { set[try Self.name("trusted.long-name-of-a-kind")] = [9] }
    try #require(set.fits(region))
    let bytes = Self.encoded(set, region)
    #expect(bytes.hasAttributes(region))
    #expect(try bytes.wrongHash(region) == nil)
    if !region.isInInode {
      #expect(bytes.storedBlockHash(region) != 0)
      #expect(try bytes.blockHash(region) == bytes.storedBlockHash(region))
      #expect(bytes.word(4) == 1)
    }
    let decoded = try bytes.attributes(region)
    #expect(decoded == set)
    #expect(Self.encoded(decoded, region) == bytes)
    // Nothing before the region was touched.
    #expect(bytes.prefix(region.start).allSatisfy { $0 == 0xEE })
  }

  @Test("a set that fills its place to the last byte fits, one byte more does not", arguments: regions)
  func capacity(region: AttributeRegion) throws {
    let name = try Self.name("user.v")
    var set = AttributeSet()
    let room = region.capacity - 4 - AttributeEntry.neededLength(nameLength: 1)
    set[name] = [UInt8](repeating: 5, count: room + 1)
    #expect(!set.fits(region))
    set[name] = [UInt8](repeating: 5, count: room)
    try #require(set.fits(region))
    let bytes = Self.encoded(set, region)
    let found = try bytes.reading { (span) throws(FormatError) in
      try region.check(span, at: Self.place)
      return try region.find(name, in: span, Self.place).map { $0.value(in: span) }
    }
    #expect(found == [UInt8](repeating: 5, count: room))
  }

  @Test(
    "an inode without room behind its fields has no place for attributes",
    arguments: [
      (128, 0), (256, 0), (256, 128), (256, 124), (256, 30),
    ])
  func noRoom(inodeSize: Int, extraSize: Int) {
    #expect(AttributeRegion(inodeAt: 0, inodeSize: inodeSize, extraSize: extraSize) == nil)
  }

  @Test("removing the last attribute leaves an inode without the magic number") func emptyInode() throws {
    let region = AttributeRegion(inodeAt: 0, inodeSize: 256, extraSize: 32)!
    let bytes = Self.encoded(AttributeSet(), region)
    #expect(bytes.suffix(96) == [UInt8](repeating: 0, count: 96)[...])
  }

  @Test("setting, replacing and removing keep the order and one value a name") func changes() throws {
    var set = try Self.set([("user.b", [1]), ("user.a", [2]), ("user.b", [3])])
    let names = [try Self.name("user.a"), try Self.name("user.b")]
    #expect(set.attributes.map(\.name) == names)
    #expect(set[names[1]] == [3])
    set[names[0]] = nil
    set[names[0]] = nil
    #expect(set.attributes.map(\.name) == [names[1]])
  }

  // MARK: Hashes

  @Test("the hash of an entry is that of ext2_xattr_hash_entry, worked out by hand") func hash() throws {
    // "a" is 0x61; the value "b" is the word 0x62: (0x61 << 16) ^ 0x62. The block has the one entry.
    let region = AttributeRegion(blockSize: 1024)
    let bytes = Self.encoded(try Self.set([("user.a", [0x62])]), region)
    #expect(bytes.word(44) == 0x0061_0062)
    #expect(bytes.storedBlockHash(region) == 0x0061_0062)
  }

  @Test("a name beyond ASCII has two hashes, by the sign of char, and both are right") func signs() throws {
    let region = AttributeRegion(blockSize: 1024)
    var bytes = Self.encoded(try Self.set([("user.é", [])]), region)
    let entry = try #require(
      try bytes.reading { (span) throws(FormatError) in try region.entry(at: 32, in: span, Self.place) })
    // é is C3 A9. Unsigned: (0xC3 << 5) ^ 0xA9. Signed: each byte with 24 ones before it.
    let (unsigned, signed) = bytes.reading { (entry.hash(in: $0), entry.hash(in: $0, sign: .signed)) }
    #expect(unsigned == 0x18C9)
    let (first, second): (UInt32, UInt32) = (0xFFFF_FFC3, 0xFFFF_FFA9)
    #expect(signed == (first << 5 ^ first >> 27 ^ second))
    for (hash, isRight) in [(unsigned, true), (signed, true), (unsigned + 1, false)] {
      bytes.changing { $0.store(hash, at: 44) }
      #expect((try bytes.wrongHash(region) == nil) == isRight)
    }
  }

  @Test("an attribute whose hash is zero forbids sharing") func zeroHash() {
    var set = AttributeSet()
    set[AttributeName(AttributeNamespace(rawValue: 7), [])] = []
    let region = AttributeRegion(blockSize: 1024)
    #expect(Self.encoded(set, region).storedBlockHash(region) == 0)
  }

  // MARK: Hostile bytes

  @Test(
    "each contradiction is named",
    arguments: [
      ("h_magic", 0, UInt8(1)), ("h_refcount", 4, 0), ("h_blocks", 8, 2), ("e_name_len", 32, 255),
      ("e_name_index", 33, 0), ("e_value_offs", 35, 0xFF), ("e_value_block", 36, 1), ("e_value_size", 42, 1),
      ("e_name_len", 48, 0),
    ])
  func contradictions(_ field: String, _ offset: Int, _ value: UInt8) throws {
    let region = AttributeRegion(blockSize: 1024)
    var bytes = Self.encoded(try Self.set([("user.abc", [1, 2, 3, 4, 5]), ("user.x", [1])]), region)
    // The shorter name comes first: the entry at 32 is user.x, with its name at 48.
    bytes[offset] = value
    let error = bytes.reading { (span) -> FormatError? in
      do throws(FormatError) {
        try region.check(span, at: Self.place)
        return nil
      } catch { return error }
    }
    guard case .invalid(.attributes, at: Self.place, field: let found, _, _) = error else {
      Issue.record("\(error as Any)")
      return
    }
    #expect(found == field)
  }

  @Test("values that lie over each other are refused, in either order") func overlap() throws {
    let region = AttributeRegion(blockSize: 1024)
    let good = Self.encoded(try Self.set([("user.a", [1, 2, 3, 4, 5]), ("user.b", [1]), ("user.c", [2])]), region)
    for (victim, other) in [(32, 52), (52, 72), (72, 32), (32, 72)] {
      var bytes = good
      bytes[victim + 2] = good[other + 2]
      bytes[victim + 3] = good[other + 3]
      #expect(throws: FormatError.self) { try bytes.attributes(region) }
    }
  }

  @Test("damaged attributes are refused, or can be read and written", arguments: regions)
  func damage(region: AttributeRegion) throws {
    var pairs: [(String, [UInt8])] = [("user.b", [1, 2, 3]), ("user.a", []), ("security.x", [1, 2])]
    if !region.isInInode { pairs += (0..<20).map { ("trusted.t\($0)", Array(repeating: 7, count: $0)) } }
    let set = try Self.set(pairs)
    let good = Self.encoded(set, region)
    var generator = SplitMix64(seed: UInt64(region.end))
    let name = try Self.name("user.b")
    var (accepted, refused) = (0, 0)
    for _ in 0..<2000 {
      var bytes = good
      FuzzTests.damage(&bytes, region.start..<min(region.end, region.start + 600), &generator)
      do throws(FormatError) {
        let decoded = try bytes.reading { (span) throws(FormatError) in
          // Unchecked reading must be safe too, of names and of hashes that are stored.
          _ = try? region.find(name, in: span, Self.place)
          _ = try? region.hash(in: span, Self.place)
          try region.check(span, at: Self.place)
          _ = try region.firstWrongHash(in: span, Self.place)
          return try AttributeSet(decoding: span, region, at: Self.place)
        }
        accepted += 1
        #expect(decoded.fits(region))
        let again = Self.encoded(decoded, region)
        if !decoded.isEmpty || !region.isInInode {
          #expect(try again.attributes(region) == decoded)
        }
      } catch {
        refused += 1
        #expect(!error.description.isEmpty)
      }
    }
    #expect(accepted > 100 && refused > 100)
  }

  @Test("a block of nothing but the shortest entries is looked through in the end") func manyEntries() throws {
    let region = AttributeRegion(blockSize: 65536)
    var bytes = Self.encoded(AttributeSet(), region)
    bytes.changing { span in
      for offset in stride(from: 32, to: 65536 - 4 * 4096, by: 16) {
        span.store(UInt16(0x0100), at: offset)
        span.store(UInt16(65536 - 4 * ((offset - 32) / 16 % 4000 + 1)), at: offset + 2)
        span.store(UInt32(4), at: offset + 8)
      }
    }
    try bytes.reading { (span) throws(FormatError) in try region.check(span, at: Self.place) }
  }
}
