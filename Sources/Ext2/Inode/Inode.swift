internal import BlockDevice
internal import Ext2Format
internal import PageCache
internal import Reactor

/// One inode in memory. Confined to its volume's reactor.
///
/// Whoever uses it holds a reference. Its record is encoded into the inode table in the steps that change it.
final class Inode {
  let number: InodeNumber
  unowned let table: InodeTable
  /// What the table says, but for the size of a regular file and the block pointers, which live in `space` and `tree`.
  var record: InodeRecord
  let tree: BlockTree
  /// The pages of a regular file.
  let space: AddressSpace
  /// The write lock: writers and truncate hold it; readers, fills and writeback do not.
  let lock: AsyncLock
  var referenceCount = 0
  /// Openings of the file.
  var openCount = 0
  /// Whether it is in the table's list of inodes that may leave memory.
  var isListedIdle = false
  /// It was used since it was listed: it gets a second chance.
  var isUsedAgain = false
  /// False once its bit is clear: its place in the table may be another inode's.
  var isLive = true
  /// It was read, and its place in the table does not tell when yet. It stays in memory meanwhile.
  var hasUnwrittenAccessTime = false
  /// Where the names of a directory lie; nil: not made, or dropped.
  var names: NameIndex?
  /// How often a small directory was looked through since it has no index.
  var scanCount = 0
  /// A directory of that size has too many names for an index.
  var unindexableByteCount: UInt64?
  /// Counts changes of the size and the pointers: what fdatasync must make durable too.
  private(set) var shapeChanges: UInt64 = 0
  /// How many of them are durable.
  private var durableShapeChanges: UInt64 = 0

  init(_ number: InodeNumber, _ record: InodeRecord, _ table: InodeTable) {
    self.number = number
    self.record = record
    self.table = table
    tree = BlockTree(
      inode: number, holdsMetadata: record.mode.type != .regular, pointers: record.block,
      sectorCount: record.sectorCount, groups: table.groups,
      metadata: table.metadata, allocator: table.allocator)
    space = AddressSpace(
      cache: table.cache, owner: UInt64(number.rawValue), mapper: tree,
      fileByteCount: record.mode.type == .regular ? record.size : 0)
    lock = AsyncLock(table.reactor, "inode", UInt64(number.rawValue))
  }

  var type: InodeType? { record.mode.type }
  /// The size in bytes.
  var byteCount: UInt64 { type == .regular ? space.fileByteCount : record.size }
  var blockSize: Int { table.groups.layout.blockSize }

  var hasUnsyncedShape: Bool { shapeChanges != durableShapeChanges }
  /// Notes a change of the size or the pointers, in the step that makes it.
  func noteShapeChange() { shapeChanges &+= 1 }
  /// The first `count` changes of its shape are durable.
  func noteDurableShape(_ count: UInt64) { durableShapeChanges = max(durableShapeChanges, count) }

  /// Whether it may be changed, under its lock: it may have been evicted, or the volume become read-only, meanwhile.
  func checkChangeable() throws(Ext2Error) {
    guard isLive else { throw .closed }
    guard table.metadata.refusal == nil else { throw .readOnly }
  }

  /// Notes a change of contents, in the step that makes it.
  func touchContents() {
    let now = table.now
    record.modificationTime = now
    record.changeTime = now
  }
}
