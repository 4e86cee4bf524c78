/// The extended attributes of one place, as values in memory: sorted by name, each name once.
package struct AttributeSet: Equatable, Sendable {
  /// An attribute: its name and its value.
  package struct Attribute: Equatable, Sendable {
    /// The name.
    package let name: AttributeName
    /// The value, which may be empty.
    package let value: [UInt8]

    /// Bytes that entry and value take.
    package var byteCount: Int {
      AttributeEntry.neededLength(nameLength: name.suffix.count) + AttributeEntry.padded(value.count)
    }
  }

  /// The attributes in ascending order of their names.
  package private(set) var attributes: [Attribute] = []

  /// No attributes.
  package init() {}

  /// Reads a region that is present. Throws as `AttributeRegion.check`, which it calls. Of two entries with one name the
  /// first counts, which is the one that every reader finds.
  package init(decoding bytes: RawSpan, _ region: AttributeRegion, at location: FormatError.Location)
    throws(FormatError)
  {
    try region.check(bytes, at: location)
    var offset = region.firstEntry
    while let entry = try region.entry(at: offset, in: bytes, location) {
      let name = entry.name(in: bytes)
      if self[name] == nil { self[name] = entry.value(in: bytes) }
      offset = entry.end
    }
  }

  /// Where a name is, or where it would be.
  private func position(of name: AttributeName) -> (index: Int, isFound: Bool) {
    var (low, high) = (0, attributes.count)
    while low < high {
      let middle = (low + high) / 2
      if attributes[middle].name < name { low = middle + 1 } else { high = middle }
    }
    return (low, low < attributes.count && attributes[low].name == name)
  }

  /// The value of a name; nil when there is no such attribute. Setting nil removes it.
  package subscript(name: AttributeName) -> [UInt8]? {
    get {
      let (index, isFound) = position(of: name)
      return isFound ? attributes[index].value : nil
    }
    set {
      let (index, isFound) = position(of: name)
      if isFound { attributes.remove(at: index) }
      if let newValue { attributes.insert(Attribute(name: name, value: newValue), at: index) }
    }
  }

  /// Whether there is no attribute.
  package var isEmpty: Bool { attributes.isEmpty }

  /// Bytes that entries, end mark and values take, without a header.
  package var byteCount: Int { attributes.reduce(4) { $0 + $1.byteCount } }

  /// Whether the attributes have room in a region.
  package func fits(_ region: AttributeRegion) -> Bool { byteCount <= region.capacity }

  /// Writes the attributes over a region, which they must fit; the rest of it becomes zero.
  ///
  /// A block comes out as the kernel writes one whose attributes were set in the order of their names: the value of the
  /// first lies last. It gets a reference count of one. An inode without attributes gets no magic number, and entries in
  /// an inode no hash (fs/ext4/xattr.c, ext4_xattr_set_entry; lib/ext2fs/ext_attr.c, ext2fs_xattrs_write).
  package func encode(into bytes: inout MutableRawSpan, _ region: AttributeRegion) {
    precondition(fits(region) && bytes.byteCount >= region.end, "attributes that do not fit")
    bytes.zero(at: region.start, count: region.end - region.start)
    if region.isInInode && isEmpty { return }
    bytes.store(AttributeRegion.magicNumber, at: region.start)
    var (offset, valueEnd) = (region.firstEntry, region.end)
    let valueBase = region.isInInode ? region.firstEntry : region.start
    var hash: UInt32 = 0
    var isShareable = true
    for attribute in attributes {
      let suffix = attribute.name.suffix, value = attribute.value
      bytes.store(UInt8(suffix.count), at: offset)
      bytes.store(attribute.name.namespace.rawValue, at: offset + 1)
      if !value.isEmpty {
        valueEnd -= AttributeEntry.padded(value.count)
        bytes.store(UInt16(valueEnd - valueBase), at: offset + 2)
        bytes.store(value.span, at: valueEnd)
      }
      bytes.store(UInt32(value.count), at: offset + 8)
      bytes.store(suffix.span, at: offset + AttributeEntry.headerByteCount)
      let entry = AttributeEntry(
        offset: offset, namespace: attribute.name.namespace, nameLength: suffix.count, valueStart: valueEnd,
        valueLength: value.count, storedHash: 0)
      if !region.isInInode {
        let own = entry.hash(in: bytes.bytes)
        bytes.store(own, at: offset + 12)
        if own == 0 { isShareable = false }
        hash = hash << 16 ^ hash >> 16 ^ own
      }
      offset = entry.end
    }
    if !region.isInInode {
      bytes.store(UInt32(1), at: region.start + 4)
      bytes.store(UInt32(1), at: region.start + 8)
      bytes.store(isShareable ? hash : 0, at: region.start + 12)
    }
  }
}
