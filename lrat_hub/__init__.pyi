from .evaluation import evaluate_agents as evaluate_agents
from .evaluation.metrics import evaluate_retrieval as evaluate_retrieval
from .fitting import TrainingRows as TrainingRows
from .fitting import fit_retriever as fit_retriever
from .fitting.settings import FitSettings as FitSettings
from .hub.refs import HubRef as HubRef
from .importers import load_trajectories as load_trajectories
from .judges import RuleJudge as RuleJudge
from .judges.documents import DocumentJudge as DocumentJudge
from .localhub import LocalHub as LocalHub
from .losses import CachedWeightedMultipleNegativesRankingLoss as CachedWeightedMultipleNegativesRankingLoss
from .losses import MultiVectorWeightedMultipleNegativesRankingLoss as MultiVectorWeightedMultipleNegativesRankingLoss
from .losses import WeightedMultipleNegativesRankingLoss as WeightedMultipleNegativesRankingLoss
from .mining import mine_pairs as mine_pairs
from .mining.weights import Weighting as Weighting
from .mining.weights import intensity_weights as intensity_weights
from .queries import QueryState as QueryState
from .queries import render_query as render_query
from .retrieval.bm25 import BM25Retriever as BM25Retriever
from .retrieval.dense import DenseRetriever as DenseRetriever
from .retrieval.fusion import FusionRetriever as FusionRetriever
from .retrieval.indexes import load_index as load_index
from .retrieval.remote import RemoteRetriever as RemoteRetriever
from .schema import Pair as Pair
from .schema import Step as Step
from .schema import Trajectory as Trajectory

__version__: str
